"""A persona's costs over a ledger in a real file, with a clock that the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeAlias, cast

import msgspec

from daemon.conversations.worker import Worker
from daemon.costs.costs import Costs
from daemon.costs.prices import Prices
from daemon.ledger import Ledger
from daemon.logging.log import Log, Sink
from daemon.personas.personas import Personas
from daemon.runtime.clock import SystemClock, Timer
from daemon.runtime.tasks import daemon_tasks
from daemon.settings.settings import Budgets, Logs, Price
from proto.costs import Purpose, Reserve, Reserved, Spent, Used
from proto.gateways import GatewayState
from proto.records import Budget, Organ, Persona
from tests.patience import PATIENCE

EVE: Final = "11111111-1111-4111-8111-111111111111"
NOON: Final = 1_793_620_800_000_000_000
"""Epoch nanoseconds: noon of 2 November 2026, UTC."""
DAY: Final = 86_400 * 10**9
MIND: Final = Organ("m-1", "openai")


Due: TypeAlias = tuple[float, Callable[[], object]]
"""A timer: its seconds, and what it calls."""


class SetClock(SystemClock):
    """A clock whose date the test sets; its timers are kept, and come due when the test says so."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now
        self.timers: list[Due] = []

    def time_ns(self) -> int:
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        entry = (seconds, callback)
        self.timers.append(entry)
        return cast("Timer", _Entry(self.timers, entry))

    def ring(self) -> None:
        """Let all timers come due."""
        due, self.timers[:] = list(self.timers), []
        for _, callback in due:
            callback()


class _Entry:
    def __init__(self, timers: list[Due], entry: Due) -> None:
        self._timers, self._entry = timers, entry

    def cancel(self) -> None:
        if self._entry in self._timers:
            self._timers.remove(self._entry)


class Process:
    """Her process: what it is sent, and answers to its reservations."""

    def __init__(self) -> None:
        self.gateways: list[GatewayState] = []
        self.sent: list[msgspec.Struct] = []
        self.waiting: dict[int, asyncio.Future[Reserved]] = {}
        self.take: Callable[[msgspec.Struct], None] = lambda _: None

    def send(self, message: msgspec.Struct) -> None:
        self.sent.append(message)
        self.take(message)
        if isinstance(message, Reserved) and message.call in self.waiting:
            self.waiting.pop(message.call).set_result(message)


class Books:
    """Her costs, her process and her ledger."""

    def __init__(self, costs: Costs, ledger: Ledger, personas: Personas, clock: SetClock, afforded: list[str]) -> None:
        self.costs = costs
        self.ledger = ledger
        self.personas = personas
        self.clock = clock
        self.afforded = afforded
        self.process = Process()
        costs.attach(EVE, cast("Worker", self.process))
        afforded.clear()

    async def ask(self, call: int, tokens: int, purpose: Purpose = "answer", model: str = "m-1") -> Reserved:
        """Reserve a call that takes this many tokens at most."""
        answer: asyncio.Future[Reserved] = asyncio.get_running_loop().create_future()
        self.process.waiting[call] = answer
        self.costs.received(EVE, Reserve(call, purpose, "thinking", "openai", model, Used(tokens), waits=True))
        async with asyncio.timeout(PATIENCE):
            return await answer

    async def end(self, call: int, tokens: int | None) -> None:
        """Report what a call used, and wait until it is booked."""
        self.costs.received(EVE, Spent(call, None if tokens is None else Used(tokens), "reported"))
        await self.booked()

    async def booked(self) -> None:
        """Wait until nothing is being booked: the writer takes one operation after the other."""
        for _ in range(3):
            await asyncio.sleep(0)
            await self.ledger.settle_calls([])

    async def rows(self) -> list[tuple[str, int, str]]:
        """Each call's day, tokens and source."""
        found = await self.ledger.usage(EVE, "2000-01-01", "2100-01-01")
        return [(row.day, row.input + row.output, row.source) for row in found]


@asynccontextmanager
async def books(
    folder: Path,
    budgets: Budgets | None = None,
    prices: dict[str, Price] | None = None,
    budget: Budget | msgspec.UnsetType = msgspec.UNSET,
) -> AsyncIterator[Books]:
    """Open them; everything is closed at the end."""
    clock, log = SetClock(), Log(Sink(Logs(), 2, terminal=False))
    ledger = await Ledger.open(folder / "ledger.db")
    await ledger.settle_calls(None)
    personas, tasks, afforded = Personas(folder / "personas", log), daemon_tasks(clock, log), list[str]()
    await personas.create(Persona(EVE, "Eve", MIND, budget=budget))
    costs = Costs(ledger, personas, budgets or Budgets(), Prices(prices or {}), afforded.append, tasks, clock, log)
    try:
        yield Books(costs, ledger, personas, clock, afforded)
        assert not tasks.fault.done()
    finally:
        costs.close()
        await tasks.close()
        await ledger.close()
