"""The messages between the daemon and its processes: versioned tagged unions, one msgpack document per frame.

``proto/README.md`` describes the protocol; this module is its code. A change that an older peer would misread raises
``VERSION``; a peer of another version is refused at ``Hello``.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from proto.asking import DaemonAnswer
from proto.conversation import Address as Address  # noqa: PLC0414  exported again: part of the messages
from proto.conversation import Conversation as Conversation  # noqa: PLC0414  as above
from proto.costs import Budgeted, Reserve, Reserved, Spent, Used
from proto.gateways import (
    Bound,
    Deliver,
    Delivered,
    Gateway,
    GatewayChanged,
    GatewayState,
    Identified,
    Identify,
    PartSent,
    Receipt,
    Received,
    Say,
    Taken,
    Undelivered,
    WebhookRequest,
)
from proto.perception import PerceptionKind
from proto.recalling import Passage, Recall
from proto.records import Organ, Persona, Slot
from proto.reminding import CancelPlanned, ListPlanned, Planned, Remind
from proto.streaming import Delta, DeltaTaken, Hush, Spoken
from proto.texts import DatasetName, MediaName, MemoryName, Nanoseconds, Reason, Text, Title

VERSION: Final = 4

MAX_ITEMS: Final = 10_000
"""Items of one list or table in a message of a worker."""

MAX_FRAME: Final = 4 * 1024 * 1024
"""Bytes in one frame. The link's sockets drop a peer that sends a larger one."""


Memory = dict[str, str]
"""What she knows: Markdown by the memory file's name (without ``.md``)."""


class Perception(msgspec.Struct):
    """Something she perceives: ``id`` is the ledger's, ``at`` the epoch nanoseconds of its acceptance.

    ``media`` is its file under the name that the daemon gave it; ``title`` is its name on the person's device.
    """

    id: int
    kind: PerceptionKind
    content: str
    at: Nanoseconds
    media: str | None = None
    title: str = ""


class Line(msgspec.Struct):
    """A line of the conversation; ``role`` is ``person`` or ``assistant`` (knowledge page of the documents).

    ``perceived`` is what her organ made of the file: speech, text in a picture, the content of a document.
    """

    role: Literal["person", "assistant"]
    content: str
    at: Nanoseconds
    media: str | None = None
    title: str = ""
    perceived: str = ""


class Outgoing(msgspec.Struct):
    """One message that she sends; ``media`` names a file that she made."""

    content: Text
    kind: Literal["text", "audio", "image"] = "text"
    media: MediaName | None = None


class MindLimits(msgspec.Struct):
    """How long a mind may take, in seconds, how often one call is retried, and how many tokens it takes.

    ``context`` is the operator's setting, 0 if there is none.
    """

    first_token: float
    total: float
    retries: int
    context: int = 0


class ChatTurn(msgspec.Struct):
    """One turn of a prompt in the chat form that every mind takes."""

    role: Literal["system", "user", "assistant"]
    content: Text


# Daemon to worker


class Prepare(msgspec.Struct, tag="prepare"):
    """The daemon's first frame: who she is. Answered by ``Prepared``."""

    persona: Persona
    limits: MindLimits
    urls: dict[str, str]
    """Base URLs by provider from the operator's settings: for organs without a URL of their own, and for gateways."""
    gateways: list[Gateway] = []
    media: str = ""
    """Her media folder, where gateways put the files that they fetch."""
    is_budgeted: bool = False
    """Whether calls of remote minds and organs wait for ``Reserved``."""


class Open(msgspec.Struct, tag="open"):
    """The previous process has been reaped: open the gateways. Answered by ``Ready``."""


class Perceive(msgspec.Struct, tag="perceive"):
    """One turn: everything that waits in one conversation, with what she needs to answer it.

    ``visitor`` is the name of a stranger who writes on an open channel, None for her owner; a visitor's turn carries
    no memory. ``mind`` answers in place of her own. ``datasets`` are the folders that this conversation may search;
    None means her own documents, and ``has_documents`` says whether there are any. ``instructions`` are what the
    channel's operator asks of her there, or in her owner's turn a program that speaks for the owner. ``orders`` are her
    own instructions, whole texts; a visitor's turn carries those only that are marked for visitors. ``recalled`` is
    what was said before that fits the new messages, the best first: a visitor's turn has only lines of this
    conversation. ``beyond`` says that more was said than ``history`` holds, so that searching further makes sense.
    ``planned`` are her owner's next appointments. Nothing of a turn that is not ``kept`` may be stored: she has no
    tools in it, and it ends after one try.
    """

    turn: int
    conversation: Conversation
    perceptions: list[Perception]
    history: list[Line]
    memory: Memory
    has_documents: bool = False
    visitor: str | None = None
    mind: Organ | None = None
    datasets: list[str] | None = None
    instructions: Text = ""
    recalled: list[Passage] = []
    beyond: bool = False
    zone: str = ""
    """Her person's time zone, an IANA name; "" is the machine's."""
    planned: list[Planned] = []
    kept: bool = True
    orders: list[str] = []


class Join(msgspec.Struct, tag="join"):
    """More messages for the turn in hand. A worker that has already replied ignores them."""

    turn: int
    perceptions: list[Perception]


class Consolidate(msgspec.Struct, tag="consolidate"):
    """Fold these lines into what she knows. Answered by ``Consolidated`` or ``ConsolidationFailed``."""

    task: int
    lines: list[Line]
    memory: Memory
    orders: list[str] = []
    """Her instructions, whole texts."""


class OrganResult(msgspec.Struct, tag="organ_result"):
    """The organ host's answer to an ``OrganCall``: exactly one of ``text``, ``media`` and ``error`` is set.

    ``passing`` marks a temporary error, such as a host that died; any other error will happen again with this call.
    """

    call: int
    text: str | None = None
    media: str | None = None
    error: str | None = None
    passing: bool = False


class Probe(msgspec.Struct, tag="probe"):
    """Ask a short-lived probe whether this organ can be reached and can serve as ``slot``. Answered by ``Probed``."""

    organ: Organ
    limits: MindLimits
    urls: dict[str, str]
    slot: Slot = "thinking"


class Stop(msgspec.Struct, tag="stop"):
    """Exit now, with code 0. Messages in hand stay in the inbox."""


ToWorker: TypeAlias = (
    Prepare
    | Open
    | Perceive
    | Join
    | Hush
    | DeltaTaken
    | Consolidate
    | OrganResult
    | DaemonAnswer
    | Reserved
    | Budgeted
    | Taken
    | Deliver
    | Say
    | Bound
    | WebhookRequest
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
    """The gateways are open: she is running."""

    gateways: Annotated[list[GatewayState], msgspec.Meta(max_length=MAX_ITEMS)]


class Typing(msgspec.Struct, tag="typing"):
    """She is thinking about an answer in this conversation; repeated every few seconds."""

    conversation: Conversation


class Reply(msgspec.Struct, tag="reply"):
    """A turn is done: these perceptions are answered by these messages (none: she chose silence).

    ``perceived`` holds what her organs made of files, by the perception's id. ``told``: the messages state facts, and
    her mind folds these into her memory without any cost. ``hushed``: she was told to stop, and the messages are what
    she had said until then. ``used`` is what her mind used for them, None if it tells of nothing.
    """

    turn: int
    perceptions: Annotated[list[int], msgspec.Meta(max_length=MAX_ITEMS)]
    messages: Annotated[list[Outgoing], msgspec.Meta(max_length=64)]
    perceived: Annotated[dict[int, Text], msgspec.Meta(max_length=MAX_ITEMS)] = {}
    told: bool = False
    hushed: bool = False
    used: Used | None = None


class MindDown(msgspec.Struct, tag="mind_down"):
    """Her mind cannot be reached; the turn keeps trying. ``hint`` tells a person what to do about it."""

    turn: int
    reason: Reason
    hint: Reason


Refusal: TypeAlias = Literal["declined", "too_long", "empty", "faulty", "broken"]
"""Why a mind that works gives no answer to a prompt.

``declined``: a filter stopped it. ``too_long``: nothing more can be left out. ``empty``: it answers with nothing.
``faulty``: it fails with this prompt and answers others. ``broken``: the connection breaks within each answer.
"""


class Refused(msgspec.Struct, tag="refused"):
    """A turn is done: her mind works, but gives no answer to these perceptions. They are to be set aside."""

    turn: int
    perceptions: Annotated[list[int], msgspec.Meta(max_length=MAX_ITEMS)]
    kind: Refusal
    reason: Reason


class Deferred(msgspec.Struct, tag="deferred"):
    """A visitor's turn ends without an answer while the mind is down, so that the next probe is another conversation's.

    Its perceptions wait again. ``unaffordable`` says which budget has no room for it: nothing of it is tried again
    before there is some; ``passing`` as in ``Reserved``.
    """

    turn: int
    unaffordable: Reason = ""
    passing: bool = False


class Consolidated(msgspec.Struct, tag="consolidated"):
    """The memory files that changed, each in full."""

    task: int
    memory: Annotated[dict[MemoryName, Text], msgspec.Meta(max_length=MAX_ITEMS)]


class ConsolidationFailed(msgspec.Struct, tag="consolidation_failed"):
    """Nothing was changed. The lines remain unconsolidated."""

    task: int
    reason: Reason


EmbeddedOrgan = Literal["thinking", "ear", "eye", "researcher", "mouth"]
"""The organs that have an embedded model."""


class OrganCall(msgspec.Struct, tag="organ_call"):
    """Call the organ host's embedded model. Answered by ``OrganResult``.

    ``thinking`` takes ``turns`` and ``max_tokens``; ``ear`` and ``eye`` take ``media``; ``mouth`` takes ``text`` and
    answers with ``media``. ``researcher`` with ``media`` and ``title`` studies that document and summarizes it;
    without them it searches ``datasets`` for ``text`` (None: her own documents) and quotes what it finds.
    """

    call: int
    organ: EmbeddedOrgan
    turns: Annotated[list[ChatTurn], msgspec.Meta(max_length=MAX_ITEMS)] = []
    max_tokens: int = 0
    media: MediaName | None = None
    title: Title = ""
    text: Text = ""
    datasets: Annotated[list[DatasetName], msgspec.Meta(max_length=MAX_ITEMS)] | None = None
    shrink: bool = False
    """Let the eye answer with a smaller copy of the picture, a JPEG in base64, instead of looking at it."""


class Probed(msgspec.Struct, tag="probed"):
    """What a probe found: an empty ``reason`` means that the organ can be reached."""

    reason: Reason = ""


class Heartbeat(msgspec.Struct, tag="heartbeat"):
    """Sent from the worker's event loop. ``lag`` is how late the loop woke for it, in seconds."""

    lag: float
    gateways: Annotated[list[GatewayState], msgspec.Meta(max_length=MAX_ITEMS)]


class Fault(msgspec.Struct, tag="fault"):
    """Why this process is about to exit. Sent just before it does."""

    reason: Reason


FromWorker: TypeAlias = (
    Hello
    | Prepared
    | Ready
    | Typing
    | Delta
    | Spoken
    | Reply
    | Refused
    | Deferred
    | MindDown
    | Consolidated
    | ConsolidationFailed
    | OrganCall
    | Recall
    | Reserve
    | Spent
    | Probed
    | Identified
    | Received
    | PartSent
    | Delivered
    | Undelivered
    | Receipt
    | GatewayChanged
    | Heartbeat
    | Fault
    | Remind
    | ListPlanned
    | CancelPlanned
)
