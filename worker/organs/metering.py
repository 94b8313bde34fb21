"""Tells the daemon what each call of a provider uses, and asks it first where a budget is set.

What a call is for is known where a turn, a consolidation or a feed begins, and a call is made many floors below. So it
travels in a context variable, which a task that is started there inherits. Without it, as in a rehearsal, nothing is
counted.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from proto.costs import Purpose, Reserve, Reserved, Source, Spent, Used
from proto.records import Organ, Slot
from worker.base.organ_errors import OrganUnreachable

ANSWER_TIMEOUT: Final = 10.0
"""Seconds. The daemon answers from its ledger."""

NAME_CHARS: Final = 200
"""Characters of a model's name that are kept."""

MOST: Final = 10**12


class Unaffordable(OrganUnreachable):
    """No budget has room for this call. ``passing``: calls in progress hold the room."""

    def __init__(self, reason: str, hint: str, *, passing: bool = False) -> None:
        super().__init__(reason, hint, permanent=True)
        self.passing = passing


class Meter:
    """Numbers the calls of one process. ``waits``: a budget is set, and each call waits for the daemon's answer."""

    def __init__(
        self, send: Callable[[Reserve | Spent], None], *, waits: bool, timeout: float = ANSWER_TIMEOUT
    ) -> None:
        """``send`` never blocks. ``timeout`` is how long a call waits for the daemon's answer, in seconds."""
        self.waits = waits
        self._send = send
        self._timeout = timeout
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Reserved]] = {}

    @contextmanager
    def charged(self, purpose: Purpose) -> Iterator[Account]:
        """Book what is called inside as used for ``purpose``."""
        account = Account(self, purpose)
        token = _account.set(account)
        try:
            yield account
        finally:
            _account.reset(token)

    async def reserve(self, purpose: Purpose, organ: Organ, slot: Slot, most: Used) -> int:
        """Announce a call that uses at most about ``most``, and return its number. Raises Unaffordable."""
        call = next(self._numbers)
        reserve = Reserve(call, purpose, slot, organ.provider or "local", organ.name[:NAME_CHARS], most, self.waits)
        if not self.waits:
            self._send(reserve)
            return call
        waiting: asyncio.Future[Reserved] = asyncio.get_running_loop().create_future()
        self._pending[call] = waiting
        try:
            self._send(reserve)
            async with asyncio.timeout(self._timeout):
                answer = await waiting
        except TimeoutError:
            self._send(Spent(call))
            reason = f"It was not known within {self._timeout:g} s whether the budget has room."
            raise Unaffordable(reason, "Nothing to do if this passes.", passing=True) from None
        except asyncio.CancelledError:
            self._send(Spent(call))
            raise
        finally:
            del self._pending[call]
        if answer.reason:
            raise Unaffordable(answer.reason, answer.hint, passing=answer.passing)
        return call

    def spent(self, call: int, used: Used | None, source: Source) -> None:
        """Report what a call used."""
        self._send(Spent(call, used, source))

    def receive(self, answer: Reserved) -> None:
        """Take the daemon's answer. It is dropped if its call no longer waits."""
        waiting = self._pending.get(answer.call)
        if waiting and not waiting.done():
            waiting.set_result(answer)


@dataclass
class Account:
    """What calls are booked on; ``thought`` is what those of the mind used in all, None without any."""

    meter: Meter
    purpose: Purpose
    thought: Used | None = None

    def add(self, slot: Slot, used: Used) -> None:
        """A call has ended."""
        if slot == "thinking":
            before = self.thought or Used()
            self.thought = Used(
                min(before.input + used.input, MOST),
                min(before.output + used.output, MOST),
                min(before.cached + used.cached, MOST),
            )


_account: ContextVar[Account | None] = ContextVar("account", default=None)


class Bill:
    """What is known so far of one call. Without a report it is what was expected."""

    def __init__(self, used: Used, source: Source) -> None:
        self.used = used
        self.source: Source = source
        self.is_free = False
        """The provider refused the call, or was not reached."""
        self.has_begun = False
        """A part of the answer has come: a connection that breaks now does not make it free."""

    def put(self, used: Used, source: Source = "reported") -> None:
        """Replace what is known."""
        self.used, self.source = used, source


@asynccontextmanager
async def billed(organ: Organ, slot: Slot, most: Used, source: Source = "estimated") -> AsyncIterator[Bill]:
    """Reserve a call that uses at most about ``most``, and report at the end what it used.

    A call that the provider refused is free. One that was cut off, by either side, is not: what it has read is billed.
    Raises Unaffordable.
    """
    bill, account = Bill(most, source), _account.get()
    if account is None:
        yield bill
        return
    call = await account.meter.reserve(account.purpose, organ, slot, most)
    try:
        yield bill
    except OrganUnreachable as error:
        bill.is_free = is_free(error) and not bill.has_begun
        raise
    finally:
        account.meter.spent(call, None if bill.is_free else bill.used, bill.source)
        if not bill.is_free:
            account.add(slot, bill.used)


def is_free(error: OrganUnreachable) -> bool:
    """Whether a call that failed with this error costs nothing: it was refused, or never arrived."""
    return error.status >= 400 or (error.is_unconnected and not error.is_broken)
