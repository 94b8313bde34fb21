"""What a keeper works with: generations, each one process of a persona, and what the daemon does around them."""

from __future__ import annotations

import asyncio
from typing import Protocol

from daemon.conversations.worker import Worker
from proto.messages import Prepare


class GenerationFailed(RuntimeError):
    """The process did not start, or it died. ``permanent`` means that another try would end the same way."""

    def __init__(self, reason: str, permanent: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent


class GenerationProcess(Worker, Protocol):
    """One process of a persona. ``end`` gets the reason as its result when the process is dead and reaped."""

    number: int
    end: asyncio.Future[GenerationFailed]

    @property
    def pid(self) -> int | None:
        """The process's pid while it is alive."""

    async def prepare(self, prepare: Prepare, kinds: frozenset[str]) -> None:
        """Start the process and prepare everything except its gateways. Raises GenerationFailed."""

    async def open(self) -> None:
        """Let it open its gateways; no earlier process may be alive. Raises GenerationFailed."""

    async def stop(self) -> None:
        """Ask it to exit, then force it; returns when it is reaped. Raises GenerationFailed."""

    async def kill(self) -> None:
        """Send SIGKILL; returns when it is reaped. Raises GenerationFailed."""


class Lifecycle(Protocol):
    """What the daemon does for one persona when her process starts and ends."""

    def generation(self, number: int) -> GenerationProcess:
        """A new generation whose process is not started yet."""

    async def prepare(self) -> tuple[Prepare, frozenset[str]]:
        """Her process's first frame and the libraries that it needs, by her current record. Raises GenerationFailed."""

    def started(self, generation: GenerationProcess) -> None:
        """Her process runs: give it what waits."""

    async def exited(self, *, crashed: bool) -> None:
        """Her process is gone; ``crashed`` means that its end was not asked for."""

    async def discard_state(self) -> None:
        """Her process is gone because of a fault in the daemon: her state in memory cannot be trusted."""

    async def reload(self) -> None:
        """Read what waits for her back from the ledger, after a fault. Raises GenerationFailed."""

    async def gave_up(self, reason: str) -> None:
        """She failed too often: say so, and leave her stopped until somebody acts."""
