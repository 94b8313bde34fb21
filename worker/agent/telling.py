"""Tells what is said of a turn's answer so far, at a pace that costs the link nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from proto.conversation import Conversation
from proto.streaming import Delta
from proto.texts import MAX_TEXT

INTERVAL: Final = 0.05
"""Seconds from one ``Delta`` of a turn to its next."""

CHARS_PER_SECOND: Final = 100_000
"""What one turn may send. All turns in hand together stay below the bytes that a process may send."""


class Telling:
    """The ``Delta``s of one turn. What is said faster than they may go is merged into the next one.

    ``words`` is what was said last; another call of her mind replaces it with its first words. Nothing is queued: the
    next ``Delta`` goes once the daemon has taken the last one, however long that takes.
    """

    def __init__(self, turn: int, conversation: Conversation, send: Callable[[Delta], None]) -> None:
        self.words = ""
        self._turn = turn
        self._conversation = conversation
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._told = ""
        self._aloud = False
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_awaited = False
        self._is_over = False

    def begin(self, *, aloud: bool) -> None:
        """Her mind is called, perhaps again: its first words replace what was told before."""
        self._told = ""
        self._aloud = aloud

    def say(self, words: str) -> None:
        """Take everything that the call has said so far; nothing at all leaves what was told before."""
        if words and not self._is_over:
            self.words = words[:MAX_TEXT]
            self._tell()

    def taken(self) -> None:
        """The daemon has the last one."""
        self._is_awaited = False
        self._tell()

    def end(self) -> None:
        """The turn ends: nothing more is told."""
        self._is_over = True
        self._cancel()

    def _tell(self) -> None:
        if self._is_over or self._is_awaited or self.words == self._told:
            return
        now = self._loop.time()
        if now < self._due:
            if self._timer is None:
                self._timer = self._loop.call_at(self._due, self._tell_late)
            return
        self._cancel()
        offset = len(self._told) if self._told and self.words.startswith(self._told) else 0
        text = self.words[offset:]
        self._told = self.words
        self._due = now + max(INTERVAL, len(text) / CHARS_PER_SECOND)
        self._is_awaited = True
        self._send(Delta(self._turn, self._conversation, offset, text, self._aloud))

    def _tell_late(self) -> None:
        self._timer = None
        self._tell()

    def _cancel(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
