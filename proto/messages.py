"""The messages between the daemon and its processes: versioned tagged unions, one msgpack document a frame.

``proto/README.md`` is the protocol; this module is its code. A change that an older peer would misread raises
``VERSION``; a peer of another version is refused at ``Hello``.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

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
from proto.records import Organ, Persona, Slot
from proto.texts import DatasetName, MediaName, MemoryName, Nanoseconds, Reason, Text, Title

VERSION: Final = 3

MAX_FRAME: Final = 4 * 1024 * 1024
"""Bytes in one frame; the link's sockets drop the peer that sends more."""


Memory = dict[str, str]
"""What she knows: memory file names (without ``.md``) to Markdown."""


Address: TypeAlias = tuple[str, str]
"""A channel's id and a chat on it, by the provider's name for the chat; two empty texts for the web."""


class Conversation(msgspec.Struct, frozen=True):
    """Where a message came from and where the reply goes.

    ``type`` and ``name`` are what people see of the channel; ``channel`` is its id and ``chat`` the provider's id of
    the chat. The web has neither.
    """

    type: str
    name: str
    channel: str = ""
    chat: str = ""

    @property
    def address(self) -> Address:
        """What tells it from every other conversation of its persona on gateways."""
        return (self.channel, self.chat)


class Perception(msgspec.Struct):
    """Something she perceives: ``id`` is the ledger's, ``at`` the epoch nanoseconds of its acceptance.

    ``media`` is its file under a name of ours, ``title`` what the person's device called it.
    """

    id: int
    kind: PerceptionKind
    content: str
    at: Nanoseconds
    media: str | None = None
    title: str = ""


class Line(msgspec.Struct):
    """A line of the conversation; ``role`` is ``person`` or ``assistant`` (knowledge page of the documents).

    ``perceived`` is what her organ made of the file: words heard, text read, what a document holds.
    """

    role: Literal["person", "assistant"]
    content: str
    at: Nanoseconds
    media: str | None = None
    title: str = ""
    perceived: str = ""


class Outgoing(msgspec.Struct):
    """One message that she says; ``media`` names a file that she made."""

    content: Text
    kind: Literal["text", "audio", "image"] = "text"
    media: MediaName | None = None


class MindLimits(msgspec.Struct):
    """How long a mind may take, in seconds, and how often one call is tried again."""

    first_token: float
    total: float
    retries: int


class ChatTurn(msgspec.Struct):
    """One turn of a prompt in the chat form that every mind speaks."""

    role: Literal["system", "user", "assistant"]
    content: Text


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
    """One turn: everything that waits in one conversation, with what she needs to answer it.

    ``visitor`` names a stranger who writes on an open channel, None for her owner; a visitor's turn brings no
    memory. ``mind`` answers in place of her own, ``datasets`` are the folders that this conversation may search;
    None stands for her own documents, of which there are some when ``has_documents``.
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


class Join(msgspec.Struct, tag="join"):
    """More words of the conversation whose turn is in hand; a worker that has replied ignores them."""

    turn: int
    perceptions: list[Perception]


class Consolidate(msgspec.Struct, tag="consolidate"):
    """Fold these lines into what she knows. Answered by ``Consolidated`` or ``ConsolidationFailed``."""

    task: int
    lines: list[Line]
    memory: Memory


class OrganResult(msgspec.Struct, tag="organ_result"):
    """The organ host's answer to an ``OrganCall``: exactly one of ``text``, ``media`` and ``error`` is set.

    ``passing`` tells an error of the moment, such as a host that died, from one that this call will always meet.
    """

    call: int
    text: str | None = None
    media: str | None = None
    error: str | None = None
    passing: bool = False


class Probe(msgspec.Struct, tag="probe"):
    """To a short-lived probe: can this organ be reached, as what ``slot`` says? Answered by ``Probed``."""

    organ: Organ
    limits: MindLimits
    urls: dict[str, str]
    slot: Slot = "thinking"


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
    """She runs."""

    gateways: list[GatewayState]


class Typing(msgspec.Struct, tag="typing"):
    """She is thinking about an answer in this conversation; repeated every few seconds."""

    conversation: Conversation


class Reply(msgspec.Struct, tag="reply"):
    """A turn is done: these perceptions are answered by these messages (none: she chose silence).

    ``perceived`` holds what her organs made of files, by the perception's id.
    """

    turn: int
    perceptions: list[int]
    messages: Annotated[list[Outgoing], msgspec.Meta(max_length=64)]
    perceived: dict[int, Text] = {}


class MindDown(msgspec.Struct, tag="mind_down"):
    """Her mind cannot be reached; the turn goes on trying. ``hint`` tells a person what to do about it."""

    turn: int
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


EmbeddedOrgan = Literal["thinking", "ear", "eye", "researcher", "mouth"]
"""The organs that have an embedded model."""


class OrganCall(msgspec.Struct, tag="organ_call"):
    """Ask the organ host's embedded model. Answered by ``OrganResult``.

    ``thinking`` takes ``turns`` and ``max_tokens``; ``ear`` and ``eye`` take ``media``; ``mouth`` takes ``text`` and
    answers with ``media``. ``researcher`` with ``media`` and ``title`` studies that document and tells what it holds;
    without, it searches for ``text`` in ``datasets`` (None: in her own documents) and quotes what it finds.
    """

    call: int
    organ: EmbeddedOrgan
    turns: list[ChatTurn] = []
    max_tokens: int = 0
    media: MediaName | None = None
    title: Title = ""
    text: Text = ""
    datasets: list[DatasetName] | None = None


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
    | Receipt
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
    """Run the embedded mind greedily. Answered, as everything the host is asked, by ``Answered``."""

    call: int
    turns: list[ChatTurn]
    max_tokens: int


class Transcribe(msgspec.Struct, tag="transcribe"):
    """Write down what is said in the audio file at ``path``."""

    call: int
    path: str


class Look(msgspec.Struct, tag="look"):
    """Read the picture at ``path``, and tell what can be told of it without seeing."""

    call: int
    path: str


class Study(msgspec.Struct, tag="study"):
    """Put the document at ``path`` into the index at ``library``, and tell what it holds."""

    call: int
    path: str
    title: str
    library: str


class Search(msgspec.Struct, tag="search"):
    """Quote what the documents in ``folders`` say about ``question``; those not in the index yet come into it.

    ``titles`` are what they are called, by the names of their files, which stand for those that are not in it.
    """

    call: int
    question: str
    folders: list[str]
    library: str
    titles: dict[str, Title] = {}


class Speak(msgspec.Struct, tag="speak"):
    """Say ``text`` into a new file under ``folder``. Answered with ``media``, its bare name."""

    call: int
    text: str
    folder: str


class Answered(msgspec.Struct, tag="answered"):
    """Exactly one of ``text``, ``media`` and ``error`` is set."""

    call: int
    text: Text | None = None
    media: MediaName | None = None
    error: Reason | None = None


ToHost: TypeAlias = Equip | Generate | Transcribe | Look | Study | Search | Speak | Stop
FromHost: TypeAlias = Hello | Answered | Heartbeat | Fault
