"""The lines of ``conversation.jsonl`` in the form of each version of the archive."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from daemon.ledger import ArchivedLine


class Version1Line(ArchivedLine, frozen=True):
    """A line of version 1: ``talk`` held the channel's id, a colon, and the chat."""

    talk: str = ""


FORMS: Final[Mapping[int, type[ArchivedLine]]] = MappingProxyType({1: Version1Line, 2: ArchivedLine, 3: ArchivedLine})
"""The form of a line by the ``version`` of the manifest."""


def as_today(line: ArchivedLine) -> ArchivedLine:
    """The line with its channel and its chat where today's form has them."""
    if not isinstance(line, Version1Line):
        return line
    channel, _, chat = line.talk.partition(":")
    return msgspec.structs.replace(line, channel=msgspec.structs.replace(line.channel, id=channel), chat=chat)
