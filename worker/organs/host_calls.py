"""Calls to the organ host through the daemon, and waiting for their results."""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import Callable
from typing import Final

from proto.messages import ChatTurn, OrganCall, OrganResult
from proto.texts import MAX_TEXT
from proto.unicode_text import valid_text
from worker.base.organ_errors import OrganUnreachable

HINT: Final = "`personad doctor` tells whether the built-in mind is installed."
HINT_SENSES: Final = "`personad doctor` tells whether the built-in organs are installed."

SENSE_TIMEOUT: Final = 960.0
"""Seconds for a recording or a document. The daemon gives up a little earlier and reports why."""

SEARCH_TIMEOUT: Final = 90.0
"""Seconds that an answer waits for a search. The first search after many new documents takes three quarters of that."""


class HostCalls:
    """Sends ``OrganCall`` frames and hands each result to its caller.

    Every call raises OrganUnreachable when no result comes in time.
    """

    def __init__(self, send: Callable[[OrganCall], None], timeout: float) -> None:
        """``timeout`` is how long ``think`` and ``speak`` wait for a result, in seconds."""
        self._send = send
        self._timeout = timeout
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[OrganResult]] = {}

    async def think(self, turns: list[ChatTurn], max_tokens: int) -> str:
        """Return the embedded mind's answer."""
        return await self._text(OrganCall(self._next(), "thinking", turns, max_tokens), self._timeout)

    async def hear(self, media: str) -> str:
        """Return the text of a recording."""
        return await self._text(OrganCall(self._next(), "ear", media=media))

    async def look(self, media: str) -> str:
        """Return a description of a picture."""
        return await self._text(OrganCall(self._next(), "eye", media=media))

    async def shrink(self, media: str) -> bytes:
        """Return a smaller copy of a picture, as a JPEG."""
        return base64.b64decode(await self._text(OrganCall(self._next(), "eye", media=media, shrink=True)))

    async def study(self, media: str, title: str) -> str:
        """Add a document to the index, and return its summary."""
        return await self._text(OrganCall(self._next(), "researcher", media=media, title=title))

    async def search(self, question: str, datasets: list[str] | None) -> str:
        """Return quotations about a question from the documents of these datasets; None means her own documents."""
        call = OrganCall(self._next(), "researcher", text=question, datasets=datasets)
        return await self._text(call, SEARCH_TIMEOUT)

    async def speak(self, words: str) -> str:
        """Speak the text into a file, and return the file's name."""
        result = await self._ask(OrganCall(self._next(), "mouth", text=words), self._timeout)
        if not result.media:
            raise OrganUnreachable("The organ host made no file.", HINT_SENSES)
        return result.media

    def receive(self, result: OrganResult) -> None:
        """Take a result. It is dropped if its caller no longer waits."""
        waiting = self._pending.get(result.call)
        if waiting and not waiting.done():
            waiting.set_result(result)

    def _next(self) -> int:
        return next(self._numbers)

    async def _text(self, call: OrganCall, timeout: float = SENSE_TIMEOUT) -> str:
        return valid_text((await self._ask(call, timeout)).text or "")[:MAX_TEXT]

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
            # A mind is always retried, because somebody may be installing it right now. The error of any other organ
            # already says what is wrong with the file or which package is missing.
            permanent = not is_mind and not result.passing
            raise OrganUnreachable(result.error, "" if permanent else hint, permanent=permanent)
        return result
