"""What a keeper knows: a generation, which is one process of hers, and what the daemon does for her life."""

from __future__ import annotations

import asyncio
from typing import Protocol

from daemon.conversations.worker import Worker
from proto.messages import Prepare


class GenerationFailed(RuntimeError):
    """It did not come up, or it died. ``permanent`` when another try would end the same way."""

    def __init__(self, reason: str, permanent: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent


class Serving(Worker, Protocol):
    """One process of a persona. ``end`` is done, with the reason, when it is dead and reaped."""

    number: int
    end: asyncio.Future[GenerationFailed]

    @property
    def pid(self) -> int | None:
        """The process's pid while it lives."""

    async def prepare(self, prepare: Prepare, kinds: frozenset[str]) -> None:
        """Make it and bring it to the point where only its gateways are missing. Raises GenerationFailed."""

    async def open(self) -> None:
        """Let it open its gateways, since no process before it lives. Raises GenerationFailed."""

    async def stop(self) -> None:
        """Ask it to leave, then make it; returns when it is reaped. Raises GenerationFailed."""

    async def kill(self) -> None:
        """SIGKILL; returns when it is reaped. Raises GenerationFailed."""


class Life(Protocol):
    """One persona's life in the daemon, beside her process."""

    def generation(self, number: int) -> Serving:
        """A process for her, not yet born."""

    async def prepare(self) -> tuple[Prepare, frozenset[str]]:
        """Her first frame and the kinds of libraries for it, from her record as it is now. Raises GenerationFailed."""

    def risen(self, generation: Serving) -> None:
        """She runs: she gets what waits."""

    async def fallen(self, *, crashed: bool) -> None:
        """Her process is gone; ``crashed`` when nobody had asked for it."""

    async def faulted(self) -> None:
        """Her process is gone because of a fault in the daemon: what is held of her in memory is not to be trusted."""

    async def reload(self) -> None:
        """Read what waits for her back from the ledger, after a fault. Raises GenerationFailed."""

    async def gave_up(self, reason: str) -> None:
        """She failed too often: she is sick, and left alone until somebody acts."""
