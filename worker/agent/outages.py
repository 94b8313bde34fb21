"""The waits while a mind cannot be reached, shared by all turns that need the same mind."""

from __future__ import annotations

import asyncio
import random

from proto.records import Organ, to_json
from worker.agent.pace import Pace
from worker.base.backoff import Backoff
from worker.base.log import WorkerLog
from worker.base.organ_errors import OrganUnreachable


class Outages:
    """One backoff for each mind that is down. Several turns may try it in turn without asking it more often."""

    def __init__(self, pace: Pace, log: WorkerLog) -> None:
        self._pace = pace
        self._log = log
        self._down: dict[bytes, Backoff] = {}
        """By the mind's record; the key of her own mind is empty."""

    async def wait_out(self, mind: Organ | None, error: OrganUnreachable) -> None:
        """Wait before this mind is tried again."""
        pace = self._pace
        backoff = self._down.setdefault(_key(mind), Backoff(pace.shortest, pace.longest))
        wait = random.uniform(0.8, 1.0) * pace.permanent if error.permanent else backoff.next()
        wait = max(wait, min(error.retry_after or 0.0, pace.longest))
        self._log.warning("mind.unreachable", reason=error.reason, hint=error.hint, retry_in=round(wait, 1))
        await asyncio.sleep(wait)

    async def pause(self) -> None:
        """Wait a moment before a mind that works is asked again."""
        await asyncio.sleep(random.uniform(0.5, 1.0) * self._pace.shortest)

    def end(self, mind: Organ | None) -> None:
        """This mind works: the next outage begins with short waits."""
        self._down.pop(_key(mind), None)


def _key(mind: Organ | None) -> bytes:
    return to_json(mind) if mind else b""
