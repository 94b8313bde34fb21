"""Received messages in the form and the groups in which the daemon takes them.

A frame that breaks its bounds ends the process that sent it, and with it all her channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from proto.gateways import MAX_UNREAD_BODY, Inbound
from proto.messages import MAX_FRAME
from proto.unicode_text import valid_texts
from worker.gateways.common.graphemes import clipped

MAX_ITEMS: Final = 100
"""Messages in one ``Received`` frame."""

MOST_WORDS: Final = 100_000
"""Characters of one message. Slack's messages, the longest of all, have up to 40,000
(https://api.slack.com/changelog/2018-04-truncating-really-long-messages)."""

REST: Final = "\n(The rest of this message is too long to be read.)"

_ROOM: Final = MAX_FRAME - MAX_UNREAD_BODY - 4 * MOST_WORDS
"""Bytes of a group. The last one also carries what could not be read."""

_BESIDES: Final = 4096
"""Bytes of a message besides its words."""


def fitting(items: Sequence[Inbound]) -> list[Inbound]:
    """Return the messages with valid texts; words over the limit are cut, and she is told."""
    return [_shortened(item) for item in valid_texts(list(items))]


def groups(items: Sequence[Inbound]) -> list[list[Inbound]]:
    """Return the messages, in order, in groups that fit into a frame; one empty group for no messages."""
    found: list[list[Inbound]] = [[]]
    size = 0
    for item in items:
        needed = min(4 * MOST_WORDS, len(item.content.encode(errors="replace"))) + _BESIDES
        if found[-1] and (len(found[-1]) == MAX_ITEMS or size + needed > _ROOM):
            found.append([])
            size = 0
        found[-1].append(item)
        size += needed
    return found


def _shortened(item: Inbound) -> Inbound:
    if len(item.content) <= MOST_WORDS:
        return item
    return msgspec.structs.replace(item, content=clipped(item.content, MOST_WORDS - len(REST)) + REST)
