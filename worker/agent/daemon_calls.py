"""Questions to the daemon in the middle of a turn, and waiting for their answers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Final

from proto.asking import DaemonAnswer
from proto.messages import FromWorker
from worker.base.organ_errors import OrganUnreachable

ANSWER_TIMEOUT: Final = 10.0
"""Seconds. The daemon answers from its ledger; if that takes longer, the turn goes on without."""


class DaemonCalls:
    """Numbers the questions and hands each answer to its caller."""

    def __init__(self, send: Callable[[FromWorker], None], timeout: float = ANSWER_TIMEOUT) -> None:
        self._send = send
        self._timeout = timeout
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[DaemonAnswer]] = {}

    async def ask(self, question: Callable[[int], FromWorker]) -> str:
        """Send the question that is made with a number, and return the answer's text.

        Raises OrganUnreachable for an error and when no answer comes in time.
        """
        number = next(self._numbers)
        waiting: asyncio.Future[DaemonAnswer] = asyncio.get_running_loop().create_future()
        self._pending[number] = waiting
        try:
            self._send(question(number))
            async with asyncio.timeout(self._timeout):
                answer = await waiting
        except TimeoutError:
            raise OrganUnreachable(f"There was no answer within {self._timeout:g} s.", "", permanent=True) from None
        finally:
            del self._pending[number]
        if answer.error:
            raise OrganUnreachable(answer.error, "", permanent=True)
        return answer.text

    def receive(self, answer: DaemonAnswer) -> None:
        """Take an answer. It is dropped if its caller no longer waits."""
        waiting = self._pending.get(answer.call)
        if waiting and not waiting.done():
            waiting.set_result(answer)
