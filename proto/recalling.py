"""What was said before and is found again: with a turn, and when her mind asks for more in the middle of one."""

from __future__ import annotations

from typing import Literal

import msgspec

from proto.texts import Label, Nanoseconds, Text, Title


class Beside(msgspec.Struct, frozen=True):
    """A line beside the one that was found, perhaps shortened."""

    role: Literal["person", "assistant"]
    content: str


class Passage(msgspec.Struct, frozen=True):
    """A line that was found, perhaps shortened, with the lines before and after it in its conversation.

    ``at`` is in epoch nanoseconds. ``channel`` is its type, such as ``telegram``, or the product that it was fed from;
    ``title`` is the name of its file or of the conversation there.
    """

    role: Literal["person", "assistant"]
    content: str
    at: Nanoseconds
    channel: Label
    title: Title = ""
    before: Beside | None = None
    after: Beside | None = None


class Recall(msgspec.Struct, tag="recall"):
    """Search what was said for ``query``. Answered by ``DaemonAnswer``, with the passages as JSON.

    ``since`` and ``until`` narrow it: dates, or dates in words ("last May"), in her person's time zone; "" for none.
    ``turn`` is the turn in hand. Only the owner's turns may ask.
    """

    call: int
    turn: int
    query: Text
    since: Title = ""
    until: Title = ""
