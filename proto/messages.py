"""The messages between the daemon and its processes: versioned tagged unions, one msgpack document a frame.

``proto/README.md`` is the protocol; this module is its code. A change that an older peer would misread raises
``VERSION``; a peer of another version is refused at ``Hello``.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from proto.perception import PerceptionKind
from proto.records import Organ, OrganName, Persona
from proto.secrets import Secret

VERSION: Final = 1

MAX_FRAME: Final = 4 * 1024 * 1024
"""Bytes in one frame; the link's sockets drop the peer that sends more."""

MAX_TEXT: Final = 256 * 1024
"""Characters in one text that a worker sends."""

Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
Reason = Annotated[str, msgspec.Meta(max_length=2000)]
Milliseconds: TypeAlias = int
Nanoseconds: TypeAlias = int

MediaName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]
"""A bare file name under the persona's media folder, never a path."""

MemoryName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,63}\Z")]
"""The name of a memory file without its ``.md``."""

ChannelId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
"""A channel's id inside this daemon: ``channel_id`` of its type and token."""

AccountId = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,32}\Z")]
"""A provider's immutable numeric id of an account or a chat, as text."""

InboundKey = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,128}\Z")]
"""What makes an inbound message the same one when it comes again: a Telegram update id, a Discord message id."""

Memory = dict[str, str]
"""What she knows: memory file names (without ``.md``) to Markdown."""


class Conversation(msgspec.Struct, frozen=True):
    """Where words came from and where the reply goes: a channel, and a talk on it (the web has one, "")."""

    type: str
    name: str
    talk: str = ""


class Perception(msgspec.Struct):
    """Something she perceives: ``id`` is the ledger's, ``at`` the epoch nanoseconds of its acceptance."""

    id: int
    kind: PerceptionKind
    content: str
    at: Nanoseconds
    media: str | None = None


class Line(msgspec.Struct):
    """A line of the conversation; ``role`` is ``person`` or ``assistant`` (knowledge page of the documents)."""

    role: Literal["person", "assistant"]
    content: str
    at: Nanoseconds
    media: str | None = None


class Outgoing(msgspec.Struct):
    """One message that she says; ``media`` names a file that she made."""

    content: Text
    kind: Literal["text", "audio", "image"] = "text"
    media: MediaName | None = None


class GatewayState(msgspec.Struct):
    """A gateway as its worker sees it.

    ``connecting`` has had no round trip yet; ``degraded`` had some and tries to come back; ``stopped`` will not come
    back by itself. ``error`` says what happened, ``hint`` what a person can do about it. ``round_trip`` is the age in
    seconds of the last completed exchange with the provider, None before the first.
    """

    channel: ChannelId
    state: Literal["connecting", "connected", "degraded", "stopped"]
    error: Reason = ""
    hint: Reason = ""
    round_trip: float | None = None
    bot_id: Annotated[str, msgspec.Meta(max_length=64)] = ""
    bot_name: Annotated[str, msgspec.Meta(max_length=128)] = ""


class MindLimits(msgspec.Struct):
    """How long a mind may take, in seconds, and how often one call is tried again."""

    first_token: float
    total: float
    retries: int


class ChatTurn(msgspec.Struct):
    """One turn of a prompt in the chat form that every mind speaks."""

    role: Literal["system", "user", "assistant"]
    content: Text


def channel_id(type_: str, token: str) -> ChannelId:
    """The id of the channel that has this token; not a secret, and no way back to one."""
    return sha256(f"{type_}:{token}".encode()).hexdigest()[:16]


class Gateway(msgspec.Struct):
    """One channel that the worker opens a gateway for.

    ``account`` and ``chat`` are who it is paired with, None while it is unverified. ``last_key`` is the key of the
    last message committed from that chat, for providers whose missed messages must be asked for.
    """

    channel: ChannelId
    type: Literal["telegram", "discord"]
    token: Secret
    account: AccountId | None = None
    chat: AccountId | None = None
    last_key: InboundKey | None = None


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
    command: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")] | None = None


# Daemon to worker


class Prepare(msgspec.Struct, tag="prepare"):
    """The daemon's first frame: who she is. Answered by ``Prepared``."""

    persona: Persona
    limits: MindLimits
    urls: dict[str, str]
    """Base URL by provider, the operator's setting, for organs that name none, and for the gateways."""
    gateways: list[Gateway] = []
    media: str = ""
    """Her media folder, where gateways put the files that they fetch."""


class Open(msgspec.Struct, tag="open"):
    """The process before this one is reaped: open the gateways. Answered by ``Ready``."""


class Perceive(msgspec.Struct, tag="perceive"):
    """One beat: everything that waits in one conversation, with what she needs to answer it."""

    beat: int
    conversation: Conversation
    perceptions: list[Perception]
    history: list[Line]
    memory: Memory


class Join(msgspec.Struct, tag="join"):
    """More words of the conversation whose beat is in hand; a worker that has replied ignores them."""

    beat: int
    perceptions: list[Perception]


class Consolidate(msgspec.Struct, tag="consolidate"):
    """Fold these lines into what she knows. Answered by ``Consolidated`` or ``ConsolidationFailed``."""

    task: int
    lines: list[Line]
    memory: Memory


class OrganResult(msgspec.Struct, tag="organ_result"):
    """The organ host's answer to an ``OrganCall``; exactly one of ``text`` and ``error`` is set."""

    call: int
    text: str | None = None
    error: str | None = None


class Probe(msgspec.Struct, tag="probe"):
    """To a short-lived probe: can this organ be reached? Answered by ``Probed``."""

    organ: Organ
    limits: MindLimits
    urls: dict[str, str]


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

    kind: Literal["telegram", "discord"]
    token: Secret
    urls: dict[str, str]


class Stop(msgspec.Struct, tag="stop"):
    """Leave now, with exit code 0. What is in hand stays in the inbox."""


ToWorker: TypeAlias = (
    Prepare
    | Open
    | Perceive
    | Join
    | Consolidate
    | OrganResult
    | Taken
    | Deliver
    | Say
    | Bound
    | Probe
    | Identify
    | Stop
)


# Worker to daemon


class Hello(msgspec.Struct, tag="hello"):
    """The first frame of every process. Its routing id proves which one it is."""

    version: int
    pid: int


class Prepared(msgspec.Struct, tag="prepared"):
    """Everything but the gateways is in place."""


class Ready(msgspec.Struct, tag="ready"):
    """She runs."""

    gateways: list[GatewayState]


class Typing(msgspec.Struct, tag="typing"):
    """She is thinking about an answer in this conversation; repeated every few seconds."""

    conversation: Conversation


class Reply(msgspec.Struct, tag="reply"):
    """A beat is done: these perceptions are answered by these messages (none: she chose silence)."""

    beat: int
    perceptions: list[int]
    messages: Annotated[list[Outgoing], msgspec.Meta(max_length=64)]


class MindDown(msgspec.Struct, tag="mind_down"):
    """Her mind cannot be reached; the beat goes on trying. ``hint`` tells a person what to do about it."""

    beat: int
    reason: Reason
    hint: Reason


class Consolidated(msgspec.Struct, tag="consolidated"):
    """The memory files that changed, each whole."""

    task: int
    memory: dict[MemoryName, Text]


class ConsolidationFailed(msgspec.Struct, tag="consolidation_failed"):
    """Nothing was changed; the lines stay unconsolidated."""

    task: int
    reason: Reason


class OrganCall(msgspec.Struct, tag="organ_call"):
    """Ask the organ host's embedded model. Answered by ``OrganResult``."""

    call: int
    organ: Literal["thinking"] | OrganName
    turns: list[ChatTurn]
    max_tokens: int


class Received(msgspec.Struct, tag="received"):
    """Messages from one gateway, oldest first. Answered by ``Taken``; until then the provider is not told."""

    request: int
    channel: ChannelId
    items: Annotated[list[Inbound], msgspec.Meta(max_length=100)]


class PartSent(msgspec.Struct, tag="part_sent"):
    """So many parts of a message are with the provider."""

    seq: int
    parts: int


class Delivered(msgspec.Struct, tag="delivered"):
    """All of a message is with the provider."""

    seq: int


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


class GatewayChanged(msgspec.Struct, tag="gateway_changed"):
    """A gateway's state changed just now; the heartbeats carry it from then on."""

    gateway: GatewayState


class Identified(msgspec.Struct, tag="identified"):
    """Whose token it is; or ``reason`` why it is of no use, in words to act on."""

    bot_id: str = ""
    bot_name: str = ""
    reason: Reason = ""


class Probed(msgspec.Struct, tag="probed"):
    """What a probe found: an empty ``reason`` means that the organ can be reached."""

    reason: Reason = ""


class Heartbeat(msgspec.Struct, tag="heartbeat"):
    """From the worker's event loop: ``lag`` is how late, in seconds, the loop woke for it."""

    lag: float
    gateways: list[GatewayState]


class Fault(msgspec.Struct, tag="fault"):
    """Why this process is about to exit, sent before it does."""

    reason: Reason


FromWorker: TypeAlias = (
    Hello
    | Prepared
    | Ready
    | Typing
    | Reply
    | MindDown
    | Consolidated
    | ConsolidationFailed
    | OrganCall
    | Probed
    | Identified
    | Received
    | PartSent
    | Delivered
    | Undelivered
    | GatewayChanged
    | Heartbeat
    | Fault
)


# Daemon to organ host, and back


class Equip(msgspec.Struct, tag="equip"):
    """The organ host's first frame: the operator's own model file (empty: the packaged one) and its threads."""

    mind_model: str
    threads: int


class Generate(msgspec.Struct, tag="generate"):
    """Run the embedded mind greedily. Answered by ``Generated``."""

    call: int
    turns: list[ChatTurn]
    max_tokens: int


class Generated(msgspec.Struct, tag="generated"):
    """Exactly one of ``text`` and ``error`` is set."""

    call: int
    text: Text | None = None
    error: Reason | None = None


ToHost: TypeAlias = Equip | Generate | Stop
FromHost: TypeAlias = Hello | Generated | Heartbeat | Fault
