"""Calls to the organ host, through the daemon, and the wait for their results."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Final

from proto.messages import ChatTurn, OrganCall, OrganResult
from proto.texts import MAX_TEXT
from worker.base.organ_errors import OrganUnreachable

HINT: Final = "She keeps trying. `personad doctor` tells whether the built-in mind is installed."
HINT_SENSES: Final = "`personad doctor` tells whether the built-in organs are installed."

SENSE_TIMEOUT: Final = 960.0
"""Seconds for a recording or a document; the daemon itself gives up somewhat earlier, and says why."""

SEARCH_TIMEOUT: Final = 90.0
"""Seconds that an answer waits for a search: the first one after many new documents takes three quarters of that."""


class HostCalls:
    """Sends ``OrganCall`` frames and hands each result to the one who waits for it."""

    def __init__(self, send: Callable[[OrganCall], None], timeout: float) -> None:
        """``timeout`` in seconds bounds each thought, also against a result that never comes."""
        self._send = send
        self._timeout = timeout
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[OrganResult]] = {}

    async def think(self, turns: list[ChatTurn], max_tokens: int) -> str:
        """Return the embedded mind's words; this and all others raise OrganUnreachable when none come in time."""
        return await self._text(OrganCall(self._next(), "thinking", turns, max_tokens), self._timeout)

    async def hear(self, media: str) -> str:
        """Write down what is said in a recording."""
        return await self._text(OrganCall(self._next(), "ear", media=media))

    async def look(self, media: str) -> str:
        """Tell what a picture holds."""
        return await self._text(OrganCall(self._next(), "eye", media=media))

    async def study(self, media: str, title: str) -> str:
        """Put a document into the index, and tell what it holds."""
        return await self._text(OrganCall(self._next(), "researcher", media=media, title=title))

    async def search(self, question: str, datasets: list[str] | None) -> str:
        """Quote what the documents of these datasets say about a question; None stands for her own."""
        call = OrganCall(self._next(), "researcher", text=question, datasets=datasets)
        return await self._text(call, SEARCH_TIMEOUT)

    async def speak(self, words: str) -> str:
        """Say the words into a file, and return its name."""
        result = await self._ask(OrganCall(self._next(), "mouth", text=words), self._timeout)
        if not result.media:
            raise OrganUnreachable("The organ host made no file.", HINT_SENSES)
        return result.media

    def receive(self, result: OrganResult) -> None:
        """Take a result; one that nobody waits for any more is dropped."""
        waiting = self._pending.get(result.call)
        if waiting and not waiting.done():
            waiting.set_result(result)

    def _next(self) -> int:
        return next(self._numbers)

    async def _text(self, call: OrganCall, timeout: float = SENSE_TIMEOUT) -> str:
        return ((await self._ask(call, timeout)).text or "")[:MAX_TEXT]

    async def _ask(self, call: OrganCall, timeout: float) -> OrganResult:
        waiting: asyncio.Future[OrganResult] = asyncio.get_running_loop().create_future()
        self._pending[call.call] = waiting
        is_mind = call.organ == "thinking"
        hint = HINT if is_mind else HINT_SENSES
        try:
            self._send(call)
            async with asyncio.timeout(timeout):
                result = await waiting
        except TimeoutError:
            reason = f"The organ host gave no answer within {timeout:g} s."
            raise OrganUnreachable(reason, hint, permanent=not is_mind) from None
        finally:
            del self._pending[call.call]
        if result.error is not None:
            # A mind is asked again whatever it was: somebody may just be installing it. A sense has said itself what is
            # wrong with the file, or which package is missing.
            permanent = not is_mind and not result.passing
            raise OrganUnreachable(result.error, "" if permanent else hint, permanent=permanent)
        return result
