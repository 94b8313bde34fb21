"""Gateways on the wire: their settings, what they receive, what they send, and their states."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Final, Literal

import msgspec

from proto.perception import PerceptionKind
from proto.secrets import Secret
from proto.texts import Label, MediaName, Nanoseconds, Reason, Text, Title

ChannelId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
"""A channel's id in this daemon, made by ``channel_id`` from its type and token."""

GatewayType = Literal["telegram", "discord", "sms", "whatsapp", "slack"]

AccountId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-][A-Za-z0-9._:-]{0,159}\Z")]
"""A provider's immutable id of an account or chat, as text: a number, a phone number without its plus, a Slack id.
The longest are WhatsApp's user ids: a country's letters, dots, and up to 128 characters."""

InboundKey = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,128}\Z")]
"""Identifies an inbound message that is delivered more than once: a Telegram update id, a Discord message id."""


LONGEST_WAIT: Final = 86_400.0
"""Seconds. A provider that asks for a longer pause is taken to ask for this one."""

ErrorClass = Literal["credential", "config", "throttle", "transient", "recipient"]
"""What is wrong. ``credential`` and ``config`` last until somebody corrects them. ``throttle`` and ``transient`` pass.
``recipient`` concerns one person, who cannot be reached."""


def channel_id(type_: str, token: str) -> ChannelId:
    """Return the id of the channel with this token. The id is not a secret, and the token cannot be derived from it."""
    return sha256(f"{type_}:{token}".encode()).hexdigest()[:16]


class GatewayState(msgspec.Struct):
    """A gateway as its worker sees it.

    ``connecting`` has had no round trip yet; ``degraded`` has had one and is trying to reconnect; ``stopped`` will not
    recover by itself. ``error`` says what happened, ``hint`` what a person can do about it, and ``error_class`` what
    kind of error it is (None: a ``stopped`` gateway has a credential error, any other error passes). ``round_trip`` is
    the age in seconds of the last completed exchange with the provider, None before the first.
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

    ``account`` and ``chat`` identify the owner that it is paired with; both are None while it is unverified. An
    ``open`` channel takes messages from everybody. ``last_key`` is the key of the last message committed from that
    chat, for providers that have to be asked for missed messages. ``credentials`` are those of the provider account
    (``proto/README.md`` lists them by type). ``phone`` is the channel's own number in E.164. ``webhook`` is the public
    URL that the provider calls, or "" to poll or hold a socket. ``since`` is when the channel was created, in epoch
    nanoseconds; earlier messages are not for her. 0 means from now on.
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


class Revision(msgspec.Struct):
    """Which message of its chat this is, where messages can be edited.

    ``message`` is the provider's id, which all edits of a message share. ``words`` and ``file`` are digests of what it
    says and of its file, "" without one, so that an edit that changed nothing is recognized. ``edit`` is None for the
    message itself. A ``step`` replaces what she knows and is not answered: where somebody is now, for example.
    """

    message: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    words: Annotated[str, msgspec.Meta(max_length=64)]
    file: Annotated[str, msgspec.Meta(max_length=64)] = ""
    edit: Literal["correction", "step"] | None = None


def digest(text: str) -> str:
    """Return a digest of what a message says, for ``Revision``."""
    return sha256(text.encode(errors="replace")).hexdigest()[:32]


def chat_of(place: str) -> str:
    """Return the chat of a place in a chat, such as a thread or topic, which is written ``chat:thread``."""
    return place.partition(":")[0]


class Inbound(msgspec.Struct):
    """One message that a gateway received; ``at`` is the provider's time in epoch nanoseconds.

    ``chat`` is a chat, or a thread in one (``chat_of``).

    ``media`` names a file that is complete and synced in the media folder. ``command`` is a bot command without its
    slash, in lower case (``start``, ``hello``, ``hush``, ``stop``, ``restart``); its argument is in ``content``.
    ``opt_out`` is not None for a STOP (True) or START (False) of text messages, which is not for her. ``unaddressed``
    was said in a thread without naming her, and is for her only if that thread is a conversation with her already.
    ``alias`` is another id of the same person, where the provider has two and may leave one out.
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
    opt_out: bool | None = None
    revision: Revision | None = None
    unaddressed: bool = False
    alias: AccountId | None = None


class Taken(msgspec.Struct, tag="taken"):
    """The answer to ``Received``: ``ok`` means committed, so the provider may forget it; otherwise try again later."""

    request: int
    ok: bool


class Deliver(msgspec.Struct, tag="deliver"):
    """Send one message of the outbox. Answered by ``Delivered`` or ``Undelivered``, after any ``PartSent``.

    The gateway splits a long message, always in the same way; the provider already has ``parts_sent`` of the parts.
    ``ambiguous`` means that the next part may have been sent before without confirmation, and that the provider can no
    longer recognize it by its key; it is then visibly marked. ``key`` is the outbox row's and the same at each attempt.
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
    """The channel has just been paired. From now on only this account's files need to be fetched."""

    channel: ChannelId
    account: AccountId
    chat: AccountId


class Say(msgspec.Struct, tag="say"):
    """Send a text that is not stored, such as a pairing code. It is sent once and not answered."""

    channel: ChannelId
    chat: AccountId
    content: Text


class Identify(msgspec.Struct, tag="identify"):
    """Ask a short-lived probe which bot this token belongs to. Answered by ``Identified``."""

    kind: GatewayType
    token: Secret
    urls: dict[str, str]
    phone: str = ""
    credentials: dict[str, Secret] = {}


class WebhookRequest(msgspec.Struct, tag="webhook"):
    """A provider's webhook request, verified and committed by the daemon. The gateway names ``number`` in ``Received``.

    ``body`` is unchanged; ``content_type`` is the request's header.
    """

    number: int
    channel: ChannelId
    content_type: Annotated[str, msgspec.Meta(max_length=255)]
    body: bytes


MAX_UNREAD_BODY: Final = 1024 * 1024
"""Bytes of an ``Unread`` that a gateway sends back."""


class Unread(msgspec.Struct):
    """What a gateway received and cannot read. The daemon keeps it, and hands it out again after an upgrade.

    ``number`` is the webhook request that it came in; ``body`` is then the part of it that could not be read, empty for
    all of it. What came in another way has the number 0 and a ``key`` that identifies its repetitions; it is kept, and
    later handed out, as if it had come in a webhook request. ``reason`` holds nothing that people said.
    """

    reason: Reason
    number: int = 0
    key: Annotated[str, msgspec.Meta(max_length=128)] = ""
    content_type: Annotated[str, msgspec.Meta(max_length=255)] = "application/json"
    body: Annotated[bytes, msgspec.Meta(max_length=MAX_UNREAD_BODY)] = b""


class Received(msgspec.Struct, tag="received"):
    """Messages from one gateway, oldest first. Answered by ``Taken``; until then the provider gets no confirmation.

    ``webhooks`` are the numbers of the webhook requests that are done once these messages are committed. ``unread`` is
    what the gateway cannot read.
    """

    request: int
    channel: ChannelId
    items: Annotated[list[Inbound], msgspec.Meta(max_length=100)]
    webhooks: Annotated[list[int], msgspec.Meta(max_length=1000)] = []
    unread: Annotated[list[Unread], msgspec.Meta(max_length=50)] = []


class PartSent(msgspec.Struct, tag="part_sent"):
    """The provider has taken ``parts`` parts of a message."""

    seq: int
    parts: int


class Delivered(msgspec.Struct, tag="delivered"):
    """The provider has taken the whole message. ``provider_id`` is its id for the message if receipts follow later."""

    seq: int
    provider_id: Annotated[str, msgspec.Meta(max_length=128)] = ""


class Undelivered(msgspec.Struct, tag="undelivered"):
    """The provider did not take the next part of a message.

    ``permanent``: it never will. ``blocked``: it takes nothing for this chat until the person writes again.
    ``ambiguous``: it may have taken the part without confirming. ``retry_after``: seconds that the provider asks for.
    ``tries``: give the message up after so many tries in all, 0 for the daemon's own limit.
    """

    seq: int
    reason: Reason
    permanent: bool = False
    blocked: bool = False
    ambiguous: bool = False
    retry_after: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_WAIT)] = 0.0
    tries: int = 0


class Receipt(msgspec.Struct, tag="receipt"):
    """A later report on a delivered message: ``error`` says why it did not reach the person."""

    channel: ChannelId
    provider_id: Annotated[str, msgspec.Meta(max_length=128)]
    error: Reason
    error_class: ErrorClass = "recipient"


class GatewayChanged(msgspec.Struct, tag="gateway_changed"):
    """A gateway's state has just changed. Heartbeats carry the new state from now on."""

    gateway: GatewayState


class Identified(msgspec.Struct, tag="identified"):
    """The bot that a token belongs to; or ``reason``, which tells a person why the token cannot be used."""

    bot_id: Label = ""
    bot_name: Label = ""
    reason: Reason = ""
