"""Gateways on the wire: what they are opened with, what comes in over them, what is sent, and how they stand."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Literal

import msgspec

from proto.perception import PerceptionKind
from proto.secrets import Secret
from proto.texts import MediaName, Nanoseconds, Reason, Text, Title

ChannelId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
"""A channel's id inside this daemon: ``channel_id`` of its type and token."""

GatewayType = Literal["telegram", "discord", "sms", "whatsapp", "slack"]

AccountId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-][A-Za-z0-9._:-]{0,63}\Z")]
"""A provider's immutable id of an account or a chat, as text: a number, a phone number without its plus, a Slack id."""

InboundKey = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,128}\Z")]
"""What makes an inbound message the same one when it comes again: a Telegram update id, a Discord message id."""


ErrorClass = Literal["credential", "config", "throttle", "transient", "recipient"]
"""What is wrong: with the channel's credentials or configuration, until somebody mends them; with its pace or the way
to its provider, which pass; or with one person, whom it does not reach."""


def channel_id(type_: str, token: str) -> ChannelId:
    """The id of the channel that has this token; not a secret, and no way back to one."""
    return sha256(f"{type_}:{token}".encode()).hexdigest()[:16]


class GatewayState(msgspec.Struct):
    """A gateway as its worker sees it.

    ``connecting`` has had no round trip yet; ``degraded`` had some and tries to come back; ``stopped`` will not come
    back by itself. ``error`` says what happened, ``hint`` what a person can do about it, ``error_class`` of what kind
    it is (None: ``stopped`` is for credentials, everything else passes). ``round_trip`` is the age in seconds of the
    last completed exchange with the provider, None before the first.
    """

    channel: ChannelId
    state: Literal["connecting", "connected", "degraded", "stopped"]
    error: Reason = ""
    hint: Reason = ""
    round_trip: float | None = None
    bot_id: Annotated[str, msgspec.Meta(max_length=64)] = ""
    bot_name: Annotated[str, msgspec.Meta(max_length=128)] = ""
    error_class: ErrorClass | None = None


class Gateway(msgspec.Struct):
    """One channel that the worker opens a gateway for.

    ``account`` and ``chat`` are who it is paired with, None while it is unverified; an ``open`` channel takes words
    from everybody. ``last_key`` is the key of the last message committed from that chat, for providers whose missed
    messages must be asked for. ``credentials`` are the provider account's (``proto/README.md`` names them by type),
    ``phone`` is ours in E.164. ``webhook`` is the public URL that the provider calls, "" to poll or hold a socket.
    ``since`` is when the channel was made, in epoch nanoseconds: what came in before is not hers. 0: from now on.
    """

    channel: ChannelId
    type: GatewayType
    token: Secret
    account: AccountId | None = None
    chat: AccountId | None = None
    last_key: InboundKey | None = None
    open: bool = False
    phone: str = ""
    credentials: dict[str, Secret] = {}
    webhook: str = ""
    since: Nanoseconds = 0


class Inbound(msgspec.Struct):
    """One message that came in over a gateway; ``at`` is the provider's time in epoch nanoseconds.

    ``media`` names a file that the worker put, whole and synced, into the media folder. ``command`` is a bot command
    without its slash, in lower case (``start``, ``hello``, ``stop``, ``restart``), with its argument in ``content``.
    """

    key: InboundKey
    account: AccountId
    account_name: Annotated[str, msgspec.Meta(max_length=128)]
    chat: AccountId
    private: bool
    kind: PerceptionKind
    content: Text
    at: Nanoseconds
    media: MediaName | None = None
    title: Title = ""
    command: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")] | None = None


class Taken(msgspec.Struct, tag="taken"):
    """What ``Received`` brought is committed (``ok``), so the provider may forget it; or it is not, try again later."""

    request: int
    ok: bool


class Deliver(msgspec.Struct, tag="deliver"):
    """Send one message of the outbox. Answered by ``Delivered`` or ``Undelivered``, after any ``PartSent``.

    A long message is split by the gateway, always in the same way; ``parts_sent`` parts are with the provider
    already. ``ambiguous`` when the next part may have been sent before without our learning of it, and the provider
    does not know it by its key any more: it is visibly marked. ``key`` is the outbox row's, the same at each try.
    """

    seq: int
    channel: ChannelId
    chat: AccountId
    key: Annotated[str, msgspec.Meta(max_length=64)]
    kind: Literal["text", "audio", "image"]
    content: Text
    media: MediaName | None
    parts_sent: int
    ambiguous: bool


class Bound(msgspec.Struct, tag="bound"):
    """The channel was paired just now: from here on only this account's files are worth fetching."""

    channel: ChannelId
    account: AccountId
    chat: AccountId


class Say(msgspec.Struct, tag="say"):
    """Send a text that is kept nowhere, once, without an answer: a pairing code."""

    channel: ChannelId
    chat: AccountId
    content: Text


class Identify(msgspec.Struct, tag="identify"):
    """To a short-lived probe: whose token is this? Answered by ``Identified``."""

    kind: GatewayType
    token: Secret
    urls: dict[str, str]
    phone: str = ""
    credentials: dict[str, Secret] = {}


class WebhookRequest(msgspec.Struct, tag="webhook"):
    """A provider's webhook request, verified and committed by the daemon. The gateway names ``number`` in ``Received``.

    ``body`` is as it came, ``content_type`` says of what kind.
    """

    number: int
    channel: ChannelId
    content_type: Annotated[str, msgspec.Meta(max_length=255)]
    body: bytes


class Received(msgspec.Struct, tag="received"):
    """Messages from one gateway, oldest first. Answered by ``Taken``; until then the provider is not told.

    ``hooks`` are the webhook requests that are dealt with once these messages are committed.
    """

    request: int
    channel: ChannelId
    items: Annotated[list[Inbound], msgspec.Meta(max_length=100)]
    webhooks: list[int] = []


class PartSent(msgspec.Struct, tag="part_sent"):
    """So many parts of a message are with the provider."""

    seq: int
    parts: int


class Delivered(msgspec.Struct, tag="delivered"):
    """All of a message is with the provider, which calls it ``provider_id`` where its receipts come later."""

    seq: int
    provider_id: Annotated[str, msgspec.Meta(max_length=128)] = ""


class Undelivered(msgspec.Struct, tag="undelivered"):
    """The next part of a message was not taken.

    ``permanent``: it never will be. ``blocked``: nothing for this chat will be, until the person writes again.
    ``ambiguous``: it may have been taken, nobody told us. ``retry_after``: seconds that the provider asks for.
    """

    seq: int
    reason: Reason
    permanent: bool = False
    blocked: bool = False
    ambiguous: bool = False
    retry_after: float = 0.0


class Receipt(msgspec.Struct, tag="receipt"):
    """What became of a message that was delivered: ``error`` says why it did not reach the person."""

    channel: ChannelId
    provider_id: Annotated[str, msgspec.Meta(max_length=128)]
    error: Reason
    error_class: ErrorClass = "recipient"


class GatewayChanged(msgspec.Struct, tag="gateway_changed"):
    """A gateway's state changed just now; the heartbeats carry it from then on."""

    gateway: GatewayState


class Identified(msgspec.Struct, tag="identified"):
    """Whose token it is; or ``reason`` why it is of no use, in words to act on."""

    bot_id: str = ""
    bot_name: str = ""
    reason: Reason = ""
