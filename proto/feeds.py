"""Feeding: a short-lived process reads an export and digests, with her mind, each conversation that the daemon wants.

It is the sandbox of the perception seed: it has no channels and no live memory, and it may die at any moment.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias, get_args

import msgspec

from proto.costs import Reserve, Reserved, Spent
from proto.messages import MAX_ITEMS, Fault, Heartbeat, Hello, Memory, MindLimits, Stop
from proto.records import Organ
from proto.texts import MemoryName, Nanoseconds, Reason, Text, Title

Source = Literal["chatgpt", "claude", "gemini", "grok", "personad"]
"""The products whose exports can be fed."""

SOURCES: Final[tuple[Source, ...]] = get_args(Source)

ConversationKey = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
"""SHA-256 of an imported conversation's text: equal text means the same conversation."""


MAX_FED_LINE: Final = 4_000
"""Characters that are kept of one line of a fed conversation."""

MAX_FED_LINES: Final = 2_000
"""Lines that are kept of one fed conversation."""

MAX_FED_CHARS: Final = 400_000
"""Characters that are kept of one: at four bytes each they fit into a frame, beside her memory."""


class Feed(msgspec.Struct, tag="feed"):
    """The first frame: read the export at ``path`` and digest it with the mind ``thinking``; ``name`` is hers.

    ``orders`` are her instructions, whole texts.
    """

    path: str
    source: Source
    name: str
    thinking: Organ
    limits: MindLimits
    urls: dict[str, str]
    orders: list[str] = []
    forecast: bool = False
    """Digest nothing: only tell with each ``Offered`` what that would take."""


class Wanted(msgspec.Struct, tag="wanted"):
    """The answer to ``Offered``: digest it into ``memory``, or skip it (None) because it was digested before."""

    number: int
    memory: Memory | None = None


class Offered(msgspec.Struct, tag="offered"):
    """The next conversation of the export. ``position`` of ``size`` bytes of the export have been read.

    For a forecast, ``calls`` of her mind with ``tokens`` of input would digest it, beside what her memory holds.
    """

    number: int
    key: ConversationKey
    title: Title
    at: Nanoseconds
    lines: int
    position: int
    size: int
    calls: int = 0
    tokens: int = 0


class FedLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of a fed conversation; ``at`` is in epoch nanoseconds, 0 if the export does not say."""

    role: Literal["person", "assistant"]
    content: Annotated[str, msgspec.Meta(max_length=MAX_FED_LINE)]
    at: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0


class Digested(msgspec.Struct, tag="digested"):
    """The memory files that this conversation changed, each in full, and its lines, to be found again."""

    number: int
    key: ConversationKey
    memory: Annotated[dict[MemoryName, Text], msgspec.Meta(max_length=MAX_ITEMS)]
    lines: Annotated[list[FedLine], msgspec.Meta(max_length=MAX_FED_LINES)] = []


class Undigested(msgspec.Struct, tag="undigested"):
    """Her mind's answers for this conversation could not be used. Nothing changes; a later feed may try again."""

    number: int


class Fed(msgspec.Struct, tag="fed"):
    """The whole export has been read.

    ``conversations`` counts those digested now or earlier. ``skipped`` counts those that had no text, had an unknown
    form or were left undigested.
    """

    conversations: int
    skipped: int


class FeedFailed(msgspec.Struct, tag="feed_failed"):
    """The feed failed: the export has another form, her mind cannot be reached, or no budget has room for it."""

    cause: Literal["format", "mind", "budget"]
    reason: Reason


ToFeeder: TypeAlias = Feed | Wanted | Reserved | Stop
FromFeeder: TypeAlias = Hello | Offered | Digested | Undigested | Fed | FeedFailed | Reserve | Spent | Heartbeat | Fault
