"""Clocks that start in the past or in the future, and jump: nothing written stands before, nothing ages by a jump."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from daemon.channels.erasure import Erasure
from daemon.ledger import Ledger
from daemon.logging.log import Log, Sink
from daemon.runtime.clock import SystemClock
from daemon.runtime.kept_clock import LOOK_EVERY, KeptClock
from daemon.settings.settings import Logs
from daemon.startup.chores import DAY, forget_visitors, prune
from proto.messages import Conversation

HOUR: Final = 3600 * 10**9
YEAR: Final = 365 * 24 * HOUR
LAST: Final = 1_793_600_000 * 10**9


class Machine(SystemClock):
    """A machine whose clock, uptime and synchronization the test sets."""

    def __init__(self, wall: int) -> None:
        self.wall = wall
        self.uptime = 7 * HOUR
        self.synchronized = False

    def time_ns(self) -> int:
        return self.wall

    def uptime_ns(self) -> int:
        return self.uptime

    def passes(self, nanoseconds: int) -> None:
        """Time passes, on both clocks."""
        self.wall += nanoseconds
        self.uptime += nanoseconds


def kept(machine: Machine, last: int = LAST) -> KeptClock:
    """A clock on this machine."""
    return KeptClock(machine, last, lambda: machine.synchronized)


@pytest.mark.parametrize("away", [HOUR, 2 * 24 * HOUR, 10 * YEAR])
def test_a_clock_that_is_ahead_at_the_start_makes_nothing_old(away: int) -> None:
    """Only uptime counts: after an hour an hour has passed, wherever the clock stands."""
    machine = Machine(LAST + away)
    clock = kept(machine)
    assert (clock.aged_ns(), clock.time_ns()) == (LAST, LAST + away)
    machine.passes(HOUR)
    assert clock.aged_ns() == LAST + HOUR
    assert clock.ahead() == away / 1e9


@pytest.mark.parametrize("back", [HOUR, 55 * YEAR])
def test_a_clock_that_is_behind_at_the_start_writes_nothing_before_the_last(back: int) -> None:
    """What is written goes on from the ledger's last moment, and nothing is old by a clock that is behind."""
    machine = Machine(LAST - back)
    clock = kept(machine)
    assert clock.time_ns() == LAST
    machine.passes(HOUR)
    assert clock.time_ns() == LAST + HOUR
    assert clock.aged_ns() <= LAST + HOUR


@pytest.mark.parametrize("jump", [-20 * YEAR, -HOUR, HOUR, 10 * YEAR])
def test_a_jump_is_not_time(jump: int) -> None:
    """A clock that is set while the daemon runs neither ages anything nor turns what is written back."""
    machine = Machine(LAST + 1)
    clock = kept(machine)
    machine.passes(HOUR)
    machine.wall += jump
    machine.passes(HOUR)
    assert clock.aged_ns() <= LAST + 2 * HOUR
    assert clock.time_ns() >= LAST + 2 * HOUR


def test_a_synchronized_clock_is_believed() -> None:
    """Once a server has set it, its time counts; when it is set by hand later, only uptime does again."""
    machine = Machine(LAST - 30 * YEAR)
    clock = kept(machine)
    machine.wall, machine.synchronized = LAST + 3 * 24 * HOUR, True
    machine.passes(LOOK_EVERY)
    now = machine.wall
    assert clock.aged_ns() == clock.time_ns() == now
    assert clock.ahead() == 0
    machine.synchronized = False
    machine.passes(LOOK_EVERY)
    machine.wall += YEAR
    assert clock.aged_ns() == now + LOOK_EVERY


def test_a_new_ledger_takes_the_clock_as_it_is() -> None:
    """Nothing there can be too old."""
    machine = Machine(123 * HOUR)
    assert kept(machine, 0).time_ns() == 123 * HOUR


class EndOfDayError(Exception):
    """The chores of one day are done."""


class OneDay(Machine):
    """A machine on which chores are done once."""

    async def sleep(self, seconds: float) -> None:
        """End the day."""
        raise EndOfDayError


class Asked(Erasure):
    """An erasure that only keeps what it was asked for."""

    def __init__(self) -> None:
        self.before: list[int] = []

    async def delete_files(self) -> None:
        """Do nothing."""

    async def expire(self, before: int) -> None:
        """Keep the time."""
        self.before.append(before)


async def test_chores_forget_nothing_by_a_clock_that_is_ahead(tmp_path: Path) -> None:
    """Frames for replay and visitors' words age by time that certainly passed; a synchronized clock is believed."""
    machine, web = OneDay(LAST + 10 * YEAR), Conversation("web", "ada")
    clock, asked = KeptClock(machine, LAST, lambda: machine.synchronized), Asked()
    ledger = await Ledger.open(tmp_path / "ledger.db")
    await ledger.say("ada", web, "hello", 1, LAST)
    with (tmp_path / "log").open("wb") as stream:
        log = Log(Sink(Logs(), stream.fileno(), terminal=False))
        for synchronized, frames in ((False, 1), (True, 0)):
            machine.synchronized = synchronized
            machine.passes(LOOK_EVERY)
            with pytest.raises(EndOfDayError):
                await prune(ledger, 7, clock, log)
            with pytest.raises(EndOfDayError):
                await forget_visitors(asked, 30, clock, log)
            assert len(await ledger.frames("ada", 0, 9)) == frames
    assert asked.before == [LAST + LOOK_EVERY - 30 * DAY, LAST + 10 * YEAR + 2 * LOOK_EVERY - 30 * DAY]
    await ledger.close()


def test_what_is_due_goes_by_a_plausible_clock() -> None:
    """A machine without a time server is believed once it has run for a while; a broken battery is not."""
    machine = Machine(LAST + 30 * 24 * HOUR)
    assert kept(machine).present_ns() == LAST + 30 * 24 * HOUR
    machine.uptime = HOUR // 60
    clock = kept(machine)
    assert clock.present_ns() == LAST
    machine.passes(HOUR)
    assert clock.present_ns() == machine.wall
    machine.wall = LAST + 10 * YEAR
    assert clock.present_ns() == LAST + HOUR
    machine.synchronized = True
    machine.passes(LOOK_EVERY)
    assert clock.present_ns() == machine.wall
    machine.wall = LAST
    assert clock.present_ns() == LAST


def test_a_clock_in_the_past_delays_no_reminder_for_ever() -> None:
    """Time goes on from the ledger's last moment."""
    machine = Machine(LAST - 10 * YEAR)
    clock = kept(machine)
    machine.passes(HOUR)
    assert clock.present_ns() == LAST + HOUR
