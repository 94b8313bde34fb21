"""Hush: her owner stops the answer that is in hand."""

from __future__ import annotations

import asyncio
from typing import Final

from daemon.conversations.lane import Lane
from daemon.conversations.worker import Worker
from daemon.runtime.clock import Clock, deadline
from proto.streaming import Hush

HUSH_TIMEOUT: Final = 10.0
"""Seconds from the order until the answer is in the ledger, as far as it came."""


class HushFailed(RuntimeError):
    """The turn did not end; the text says why."""


async def hush(lane: Lane, worker: Worker | None, clock: Clock) -> bool:
    """Stop the turn in hand and return once its end is committed; False when there is none.

    Raises HushFailed when it does not end: its messages will then be answered again.
    """
    turn = lane.in_hand
    if turn is None or turn.replied or worker is None:
        return False
    ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    turn.watchers.append(ended)
    worker.send(Hush(turn.number))
    try:
        async with deadline(clock, HUSH_TIMEOUT):
            if await ended:
                return True
    except TimeoutError:
        raise HushFailed(f"She did not stop within {HUSH_TIMEOUT:g} s. Try again, or restart her.") from None
    raise HushFailed("Her process ended before she had stopped, and she answers again. Try again.")
