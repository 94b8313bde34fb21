"""Calls to the organ host, through the daemon, and the wait for their results."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Final

from proto.messages import ChatTurn, OrganCall, OrganResult
from worker.organs.mind import MindUnreachable

HINT: Final = "She keeps trying. `personad doctor` tells whether the built-in mind is installed."


class HostCalls:
    """Sends ``OrganCall`` frames and hands each result to the one who waits for it."""

    def __init__(self, send: Callable[[OrganCall], None], timeout: float) -> None:
        """``timeout`` in seconds bounds each call, also against a result that never comes."""
        self._send = send
        self._timeout = timeout
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[str]] = {}

    async def think(self, turns: list[ChatTurn], max_tokens: int) -> str:
        """Return the embedded mind's words; raise MindUnreachable when the host has none in time."""
        call = next(self._numbers)
        result: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._pending[call] = result
        try:
            self._send(OrganCall(call, "thinking", turns, max_tokens))
            async with asyncio.timeout(self._timeout):
                return await result
        except TimeoutError:
            raise MindUnreachable(f"The organ host gave no answer within {self._timeout:g} s.", HINT) from None
        finally:
            del self._pending[call]

    def receive(self, result: OrganResult) -> None:
        """Take a result; one that nobody waits for any more is dropped."""
        waiting = self._pending.get(result.call)
        if waiting is None or waiting.done():
            return
        if result.error is None:
            waiting.set_result(result.text or "")
        else:
            waiting.set_exception(MindUnreachable(result.error, HINT))
