"""A mind on loopback whose behaviour depends on the message, for tests that strike at a chosen moment.

By hand: ``python -m tests.emulators.scripted --port 8081``; it is then OpenAI's emulator, because only code can hold
back an answer or strike.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tests.emulators.openai import OpenAIEmulator
from tests.emulators.server import Step, main

LONGEST_HOLD: Final = 60.0
"""Seconds after which a held answer is sent anyway, so that a failed test ends."""


class ScriptedMind(OpenAIEmulator):
    """Echoes the new messages. ``hold`` keeps answers back; ``strike`` is called with the text before an answer."""

    def __init__(self, *, key: str = "", port: int = 0) -> None:
        super().__init__(key=key, port=port)
        self.heard: list[str] = []
        """The last user turn of each call, in order."""
        self.strike: Callable[[str], None] | None = None
        self.answer: Callable[[str], Step | None] = lambda _: None
        self._held: set[str] = set()
        self._guard = threading.Lock()

    def hold(self, word: str) -> None:
        """Keep back every answer to messages that contain ``word``, until ``let_go``."""
        with self._guard:
            self._held.add(word)

    def let_go(self, word: str) -> None:
        """Send the answers that were held for ``word``."""
        with self._guard:
            self._held.discard(word)

    def times(self, word: str) -> int:
        """Return how many calls had this word in the new messages."""
        return sum(word in text for text in self.heard)

    async def play(self, request: Request, text: str) -> Response:
        """Hold, strike, and then answer by ``answer``'s step, else by the script."""
        self.heard.append(text)
        deadline = asyncio.get_running_loop().time() + LONGEST_HOLD
        if self.strike:
            await asyncio.to_thread(self.strike, text)
        while self._is_held(text) and asyncio.get_running_loop().time() < deadline:
            if await request.is_disconnected():
                break
            await asyncio.sleep(0.01)
        if step := self.answer(text):
            self._steps.appendleft(step)
        return await super().play(request, text)

    def _is_held(self, text: str) -> bool:
        with self._guard:
            return any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) for word in self._held)


if __name__ == "__main__":
    main(ScriptedMind)
