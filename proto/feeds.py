"""Feeding: a short-lived process reads an export, digests each conversation with her mind, and is told what is wanted.

It is the sandbox of the perception seed: it holds no channel and no live memory, and may die at any moment.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias, get_args

import msgspec

from proto.messages import Fault, Heartbeat, Hello, Memory, MindLimits, Stop
from proto.records import Organ
from proto.texts import MemoryName, Nanoseconds, Reason, Text, Title

Source = Literal["chatgpt", "claude", "gemini", "grok", "personad"]
"""Whose exports can be fed."""

SOURCES: Final[tuple[Source, ...]] = get_args(Source)

ConversationKey = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
"""SHA-256 of an imported conversation's words: the same words are the same conversation."""


class Feed(msgspec.Struct, tag="feed"):
    """The first frame: read the export at ``path`` and digest it with the mind ``thinking``; ``name`` is hers."""

    path: str
    source: Source
    name: str
    thinking: Organ
    limits: MindLimits
    urls: dict[str, str]


class Wanted(msgspec.Struct, tag="wanted"):
    """The answer to ``Offered``: digest it into ``memory``; None when it was digested before."""

    number: int
    memory: Memory | None = None


class Offered(msgspec.Struct, tag="offered"):
    """The next conversation of the export. ``position`` and ``size`` are bytes: how far the export is read."""

    number: int
    key: ConversationKey
    title: Title
    at: Nanoseconds
    lines: int
    position: int
    size: int


class Digested(msgspec.Struct, tag="digested"):
    """The memory files that this conversation changed, each whole."""

    number: int
    key: ConversationKey
    memory: dict[MemoryName, Text]


class Undigested(msgspec.Struct, tag="undigested"):
    """Her mind's answers to this conversation could not be used: nothing changes, and a later feed may try again."""

    number: int


class Fed(msgspec.Struct, tag="fed"):
    """All of it is read.

    ``conversations`` were digested now or before; ``skipped`` had no words, an unknown form, or were left undigested.
    """

    conversations: int
    skipped: int


class FeedFailed(msgspec.Struct, tag="feed_failed"):
    """It ends here: the export has not the form of its source, or her mind cannot be reached."""

    cause: Literal["format", "mind"]
    reason: Reason


ToFeeder: TypeAlias = Feed | Wanted | Stop
FromFeeder: TypeAlias = Hello | Offered | Digested | Undigested | Fed | FeedFailed | Heartbeat | Fault
