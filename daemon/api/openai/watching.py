"""Waits for an answer, and meanwhile looks after the client, the daemon and the time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from daemon.api.openai.refusals import AGAIN, Refused
from daemon.conversations.requests import Answering
from daemon.runtime.tasks import Tasks

_STOPPING: Final = "The daemon is stopping: send the request again when it is back."
_LATE: Final = "There is no answer after {seconds:g} seconds: send the request again to go on waiting for it."


class Watch:
    """One client that waits for one answer."""

    def __init__(
        self, answering: Answering, gone: asyncio.Task[None], stopping: asyncio.Task[bool], until: float
    ) -> None:
        self._answering = answering
        self._gone = gone
        self._stopping = stopping
        self._begun = asyncio.get_running_loop().time()
        self._until = self._begun + until

    @property
    def is_gone(self) -> bool:
        """Whether the client has hung up."""
        return self._gone.done()

    async def change(self, seconds: float) -> bool:
        """Wait for a change of the answer, at most so long; False when there is none.

        Raises ClientDisconnect when the client is gone, Refused when the daemon stops or it has taken too long.
        """
        left = self._until - asyncio.get_running_loop().time()
        change = self._answering.change
        # Any: what they give does not matter, only which is done.
        waits: list[asyncio.Future[Any]] = [change, self._gone, self._stopping]
        await asyncio.wait(waits, timeout=min(seconds, max(left, 0.0)), return_when=asyncio.FIRST_COMPLETED)
        if change.done():
            return True
        if self._gone.done():
            raise ClientDisconnect
        if self._stopping.done():
            raise Refused(503, _STOPPING, code="stopping", headers=AGAIN)
        if left <= seconds:
            words = _LATE.format(seconds=self._until - self._begun)
            raise Refused(504, words, code="timeout", headers=AGAIN)
        return False


@asynccontextmanager
async def watched(
    answering: Answering, receive: Receive, stopping: asyncio.Event, seconds: float, tasks: Tasks
) -> AsyncIterator[Watch]:
    """Look after a client whose request was read, for at most ``seconds``."""
    async with tasks.beside(_hung_up(receive)) as gone, tasks.beside(stopping.wait()) as stops:
        yield Watch(answering, gone, stops, seconds)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
