"""An answer while it grows: says what may be shown of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from proto.unicode_text import valid_text
from worker.organs.thoughts import so_far

LOOK: Final = 0.05
"""Seconds from one look at the answer to the next, at the least."""

LOOKING: Final = 0.05
"""The share of the time that looking may take: a long answer is looked at less often."""


class Growing:
    """The pieces of one call's answer. ``say`` gets all that may be shown of them, now and then.

    ``is_thinking_first``: the model's answers begin with reasoning that only its end marks.
    """

    def __init__(self, say: Callable[[str], None], *, is_thinking_first: bool) -> None:
        self._say = say
        self._is_thinking_first = is_thinking_first
        self._parts: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, piece: str) -> None:
        """Take the next piece. The empty one is reasoning that the server keeps apart: then none is in the text."""
        if not piece:
            self._is_thinking_first = False
            return
        self._parts.append(piece)
        if self._loop.time() >= self._due:
            self._look()
        elif self._timer is None:
            self._timer = self._loop.call_at(self._due, self._look)

    def end(self) -> None:
        """Look at what is left: the answer is whole, or broke off."""
        if self._timer:
            self._look()

    def _look(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        begun = self._loop.time()
        self._parts = ["".join(self._parts)]
        text = self._parts[0]
        # Half a character may end one piece, and its other half begin the next.
        whole = text[:-1] if "\ud800" <= text[-1] <= "\udbff" else text
        self._say(so_far(valid_text(whole), is_thinking_first=self._is_thinking_first))
        now = self._loop.time()
        self._due = now + max(LOOK, (now - begun) / LOOKING)
