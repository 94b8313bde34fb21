"""Reserves, refuses and books the calls of every process.

A reservation is a row of the ledger, made in the transaction that looks whether the budgets have room. So no number of
calls at once can pass a limit, and a kill loses none: what is still open then is booked at what was reserved.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

import msgspec

from daemon.conversations.worker import Worker
from daemon.costs.budgets import Limited, fault_of, limits
from daemon.costs.days import Today, today, zone_of
from daemon.costs.prices import FREE, Prices
from daemon.ledger import Call, Crossed, Ledger, LedgerError, Room
from daemon.logging.log import Log
from daemon.personas.personas import Personas
from daemon.runtime.clock import Clock, Timer
from daemon.runtime.tasks import Tasks
from daemon.settings.amounts import shown
from daemon.settings.settings import Budgets
from proto.costs import Budgeted, Purpose, Reserve, Reserved, Spent, Used
from proto.framing import FrameError
from proto.wire import WireError

LOOK_EVERY: Final = 600.0
"""Seconds at most between two looks whether a budget is open again: the machine's clock may be set."""

MAX_CALLS: Final = 256
"""Calls of one process in progress; it makes fewer, and what it sends must not fill the memory."""

RAISE: Final = "`personad budget` shows her budgets and raises one."


class Closed(NamedTuple):
    """Why a budget lets no call pass, and when it does again, in epoch nanoseconds."""

    reason: str
    until: int


class Totals(NamedTuple):
    """What is counted for metrics since the start, by persona and purpose."""

    calls: Counter[tuple[str, Purpose]]
    input: Counter[tuple[str, Purpose]]
    output: Counter[tuple[str, Purpose]]
    cached: Counter[tuple[str, Purpose]]
    cost: Counter[tuple[str, Purpose]]
    refused: Counter[tuple[str, Purpose]]


class Costs:
    """All personas' calls. ``afford`` is called with a persona's id when a budget of hers may have room again."""

    def __init__(
        self,
        ledger: Ledger,
        personas: Personas,
        budgets: Budgets,
        prices: Prices,
        afford: Callable[[str], None],
        tasks: Tasks,
        clock: Clock,
        log: Log,
    ) -> None:
        """``tasks`` is the daemon's own: a booking goes on when her process is replaced."""
        self.prices = prices
        self.defaults = budgets
        self.totals = Totals(*(Counter() for _ in Totals._fields))
        self._ledger = ledger
        self._personas = personas
        self._afford = afford
        self._tasks = tasks
        self._clock = clock
        self._log = log
        self._workers: dict[str, Worker] = {}
        self._meters: dict[str, ProcessMeter] = {}
        self._closed: dict[tuple[str, bool], Closed] = {}
        self._in_hand: Counter[tuple[str, bool]] = Counter()
        """Calls in progress by persona, her own and her visitors'."""
        self._passing: set[str] = set()
        """The personas with calls that wait for those in progress."""
        self._timer: Timer | None = None

    # Her process

    def attach(self, persona_id: str, worker: Worker) -> None:
        """Her process runs. It may have read other budgets than the last one."""
        self._workers[persona_id] = worker
        self._meters[persona_id] = self.meter(persona_id, worker.send)
        if self.is_budgeted(persona_id):
            # Perhaps none was set when this process was prepared.
            worker.send(Budgeted(is_set=True))
        self._open(persona_id)

    async def detach(self, persona_id: str, *, crashed: bool) -> None:  # noqa: ARG002 (every attendant gets it)
        """Her process is gone, and with it what its calls used."""
        self._workers.pop(persona_id, None)
        if meter := self._meters.pop(persona_id, None):
            await meter.close()

    def received(self, persona_id: str, message: Reserve | Spent) -> None:
        """Take a message of her process."""
        if meter := self._meters.get(persona_id):
            meter.received(message)

    def deferred(self, persona_id: str, *, passing: bool) -> None:
        """A turn ended because a budget had no room. If it has some by now, nobody else would tell her lanes.

        ``passing``: only calls in progress held the room.
        """
        if persona_id not in self._passing and (passing or not self.closed(persona_id)):
            self._afford(persona_id)

    def meter(self, persona_id: str, send: Callable[[msgspec.Struct], None]) -> ProcessMeter:
        """Make what counts the calls of one process of hers, and answers it by ``send``."""
        return ProcessMeter(persona_id, send, self, self._tasks)

    # Budgets

    def is_budgeted(self, persona_id: str) -> bool:
        """Whether any budget holds her calls, her own or her visitors'."""
        persona = self._personas.get(persona_id)
        return any(limits(self.defaults, persona, visitors=visitors) for visitors in (False, True))

    def changed(self, persona_id: str) -> None:
        """Her budgets are others now."""
        if worker := self._workers.get(persona_id):
            worker.send(Budgeted(self.is_budgeted(persona_id)))
        self._open(persona_id)

    def closed(self, persona_id: str) -> list[str]:
        """Why her budgets let no call pass, as sentences."""
        return [found.reason for (owner, _), found in sorted(self._closed.items()) if owner == persona_id]

    def forget(self, persona_id: str) -> None:
        """Forget a deleted persona."""
        for visitors in (False, True):
            self._closed.pop((persona_id, visitors), None)
        self._passing.discard(persona_id)
        for visitors in (False, True):
            self._in_hand.pop((persona_id, visitors), None)
        for counter in self.totals:
            for key in [key for key in counter if key[0] == persona_id]:
                del counter[key]

    def close(self) -> None:
        """Stop the timer."""
        if self._timer:
            self._timer.cancel()

    # Calls

    async def reserve(self, persona_id: str, asked: Reserve) -> int | Reserved:
        """Reserve a call and return its row, or why it may not be made. Raises LedgerError."""
        persona, visitors = self._personas.get(persona_id), asked.purpose == "visitor"
        held, now = limits(self.defaults, persona, visitors=visitors), today(zone_of(persona), self._clock.time_ns())
        cost = self.prices.cost(asked.provider, asked.model, asked.used)
        in_money = [limit for limit in held if limit.amount.currency]
        if in_money and (reason := self._unmeasurable(in_money, asked, cost)):
            self._close(persona_id, asked, Closed(reason, now.next_day))
            return Reserved(asked.call, reason, RAISE)
        call = Call(
            *(persona_id, now.day, asked.purpose, asked.organ, asked.provider, asked.model, asked.used),
            cost,
            self.prices.currency if cost is not None else "",
        )
        rooms = [Room(now.day if one.period == "day" else now.month, *one.amount) for one in held]
        found = await self._ledger.reserve_call(call, rooms)
        key = (persona_id, visitors)
        if isinstance(found, Crossed) and found.held and not self._in_hand[key]:
            # What held the room was booked meanwhile, and no other call would tell that there is some.
            found = await self._ledger.reserve_call(call, rooms)
        if isinstance(found, int):
            self._in_hand[key] += 1
            return found
        limit, more = held[found.place], (cost or 0) if rooms[found.place].currency else _tokens(asked.used)
        if self._in_hand[key] and found.used - found.held + more <= limit.amount.most:
            self._passing.add(persona_id)
            return Reserved(asked.call, "Calls in progress hold what is left of the budget.", "", passing=True)
        return Reserved(asked.call, self._refuse(persona_id, asked, limit, found, more, now), RAISE)

    async def book(self, persona_id: str, asked: Reserve, row: int, spent: Spent) -> None:
        """Book what a call used, or forget it when it was free. Raises LedgerError."""
        try:
            if spent.used is None:
                await self._ledger.release_call(row)
            else:
                cost = self.prices.cost(asked.provider, asked.model, spent.used)
                await self._ledger.book_call(row, spent.used, spent.source, cost)
                self._count(persona_id, asked.purpose, spent.used, cost)
        finally:
            self._ended(persona_id, [asked])

    async def settle(self, persona_id: str, calls: Mapping[int, Reserve]) -> None:
        """Book calls that nobody will tell of any more, by row, at what was reserved for them. Raises LedgerError."""
        try:
            await self._ledger.settle_calls(list(calls))
            for asked in calls.values():
                cost = self.prices.cost(asked.provider, asked.model, asked.used)
                self._count(persona_id, asked.purpose, asked.used, cost)
            self._log.info("costs.estimated", persona=persona_id, calls=len(calls))
        finally:
            self._ended(persona_id, calls.values())

    def failed(self, persona_id: str, error: LedgerError) -> None:
        """Say that a call could not be booked."""
        self._log.error("costs.not_booked", persona=persona_id, reason=str(error))

    def _ended(self, persona_id: str, calls: Iterable[Reserve]) -> None:
        """Calls in progress ended: those that wait for their room may be made."""
        for asked in calls:
            self._in_hand[persona_id, asked.purpose == "visitor"] -= 1
        if persona_id in self._passing:
            self._passing.discard(persona_id)
            self._afford(persona_id)

    def _unmeasurable(self, in_money: list[Limited], asked: Reserve, cost: int | None) -> str:
        """Return why a budget in money cannot hold this call, or ""."""
        for limit in in_money:
            if fault := fault_of(f"0 {limit.amount.currency}", self.prices.currency):
                return f"The budget of the {limit.period} {fault}."
        if cost is None and asked.provider not in FREE:
            name = f"{asked.provider}/{asked.model}"
            return f'The budget is in money, and [prices] in personad.toml has none for "{name}".'
        return ""

    def _refuse(self, persona_id: str, asked: Reserve, limit: Limited, found: Crossed, more: int, now: Today) -> str:
        whose = "for visitors" if asked.purpose == "visitor" else "of this persona"
        until, when = (now.next_day, "tomorrow") if limit.period == "day" else (now.next_month, "next month")
        most, currency = limit.amount
        left = shown(max(0, most - found.used), currency, up=False)
        reason = f"The budget {whose} for the {limit.period} is {shown(most, currency)}"
        if not most:
            reason += ": no call is made."
        elif found.used < most:
            more_ = f"the next call may take {shown(more, currency)}"
            reason += f", and {left} are left: {more_}. It opens again {when}."
        else:
            reason += f", and it is used up. It opens again {when}."
        self._close(persona_id, asked, Closed(reason, until))
        return reason

    def _close(self, persona_id: str, asked: Reserve, closed: Closed) -> None:
        key = (persona_id, asked.purpose == "visitor")
        self.totals.refused[persona_id, asked.purpose] += 1
        if self._closed.get(key) != closed:
            self._log.warning("budget.reached", persona=persona_id, purpose=asked.purpose, reason=closed.reason)
        self._closed[key] = closed
        self._arm()

    def _count(self, persona_id: str, purpose: Purpose, used: Used, cost: int | None) -> None:
        key = (persona_id, purpose)
        self.totals.calls[key] += 1
        self.totals.input[key] += used.input
        self.totals.output[key] += used.output
        self.totals.cached[key] += used.cached
        self.totals.cost[key] += cost or 0

    # Opening

    def _open(self, persona_id: str) -> None:
        """Let her lanes try again: the next reservation decides."""
        for visitors in (False, True):
            self._closed.pop((persona_id, visitors), None)
        self._passing.discard(persona_id)
        self._afford(persona_id)

    def _arm(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._closed:
            soonest = min(closed.until for closed in self._closed.values())
            wait = min(LOOK_EVERY, max(0.0, (soonest - self._clock.time_ns()) / 1e9))
            self._timer = self._tasks.call_later(wait, self._look)

    def _look(self) -> None:
        self._timer, now = None, self._clock.time_ns()
        for persona_id in {owner for (owner, _), closed in self._closed.items() if closed.until <= now}:
            self._log.info("budget.opened", persona=persona_id)
            self._open(persona_id)
        self._arm()


class ProcessMeter:
    """The calls of one process, each from its reservation to its booking."""

    def __init__(self, persona_id: str, send: Callable[[msgspec.Struct], None], costs: Costs, tasks: Tasks) -> None:
        self._persona_id = persona_id
        self._send = send
        self._costs = costs
        self._tasks = tasks
        self._rows: dict[int, asyncio.Task[int | None]] = {}
        self._booking: set[asyncio.Task[None]] = set()
        self._open: dict[int, Reserve] = {}
        """By row."""
        self._closed = False

    def received(self, message: Reserve | Spent) -> None:
        """Take a message. A process that reports a call twice, or one that it never announced, is not believed."""
        match message:
            case Reserve() if message.call not in self._rows and len(self._rows) < MAX_CALLS:
                self._rows[message.call] = self._tasks.start(self._reserve(message))
            case Spent() if row := self._rows.pop(message.call, None):
                booking = self._tasks.start(self._book(row, message))
                self._booking.add(booking)
                booking.add_done_callback(self._booking.discard)

    async def close(self) -> None:
        """The process is gone: book what it left open at what was reserved."""
        self._closed = True
        if unfinished := [*self._rows.values(), *self._booking]:
            await asyncio.wait(unfinished)
        left, self._open = self._open, {}
        try:
            if left:
                await self._costs.settle(self._persona_id, left)
        except LedgerError as error:
            self._costs.failed(self._persona_id, error)

    async def _reserve(self, asked: Reserve) -> int | None:
        """Reserve a call and answer its process; None when it was refused or could not be booked."""
        try:
            found = await self._costs.reserve(self._persona_id, asked)
        except LedgerError as error:
            self._costs.failed(self._persona_id, error)
            # Only a budget needs the booking: without one, a full disk keeps nobody from an answer.
            is_held = self._costs.is_budgeted(self._persona_id)
            why = (f"The call could not be booked: {error}.", "Free some space.") if is_held else ()
            found = Reserved(asked.call, *why)
        if isinstance(found, int):
            self._open[found] = asked
        else:
            self._rows.pop(asked.call, None)
        if asked.waits and not self._closed:
            # A process that takes no messages is about to be found dead.
            with suppress(WireError, FrameError):
                self._send(Reserved(asked.call) if isinstance(found, int) else found)
        return found if isinstance(found, int) else None

    async def _book(self, reserving: asyncio.Task[int | None], spent: Spent) -> None:
        row = await reserving
        if row is None or (asked := self._open.get(row)) is None:
            return
        try:
            await self._costs.book(self._persona_id, asked, row, spent)
        except LedgerError as error:
            self._costs.failed(self._persona_id, error)
        self._open.pop(row, None)


def _tokens(used: Used) -> int:
    return used.input + used.output
