"""The keeper with fake processes and a clock that is set by hand: it never loses its persona."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from daemon.conversations.worker import StartFailed
from daemon.logging.log import Log
from daemon.runtime.tasks import PersonaTasks, Tasks, daemon_tasks
from daemon.settings.settings import Supervision
from daemon.supervision.keeper import Keeper
from daemon.supervision.lifecycle import GenerationFailed
from tests.daemon.supervision.played import ManualClock, PlayedGeneration, PlayedLifecycle, log_to, logged, settled

LIMITS = Supervision(backoff_min=1.0, backoff_max=4.0, failures=5, failure_window=300.0, stable_after=60.0)
OURS = ValueError("a mistake of ours")


@dataclass
class Stage:
    """A keeper with fakes around it."""

    keeper: Keeper
    lifecycle: PlayedLifecycle
    clock: ManualClock
    hers: Tasks
    daemons: Tasks
    log: Log

    @property
    def state(self) -> str:
        """Her state as status shows it; never running without a process."""
        view = self.keeper.view()
        assert (view.state == "running") <= (view.pid is not None)
        return view.state

    @property
    def running(self) -> PlayedGeneration:
        """Her only process, whose gateways are open."""
        assert self.state == "running"
        (alive,) = self.lifecycle.alive
        assert alive.opened
        return alive

    async def through(self, seconds: float = 10.0) -> None:
        """Advance the clock by more than any backoff."""
        await self.clock.advance(seconds)
        await settled()
        assert not self.daemons.fault.done()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A keeper with a stopped persona."""
    clock, lifecycle = ManualClock(), PlayedLifecycle()
    with log_to(tmp_path / "log") as log:
        hers, daemons = PersonaTasks(clock, log).of("her"), daemon_tasks(clock, log)
        yield Stage(Keeper(lifecycle, LIMITS, hers, daemons, clock, log), lifecycle, clock, hers, daemons, log)
        await hers.close()
        await daemons.close()


async def test_a_start_and_a_stop(stage: Stage) -> None:
    """She runs when start returns, and has no process when stop returns."""
    assert await stage.keeper.start()
    assert not await stage.keeper.start()
    assert stage.running.number == 1
    await stage.keeper.stop()
    assert (stage.state, stage.lifecycle.alive) == ("stopped", [])


async def test_a_death_is_answered(stage: Stage) -> None:
    """Status shows the death at once; after the backoff another process follows, and gets what waits."""
    await stage.keeper.start()
    stage.running.die("killed by SIGKILL")
    assert stage.state == "restarting"
    await settled()
    assert (stage.state, stage.keeper.view().reason) == ("backoff", "killed by SIGKILL")
    await stage.through()
    assert stage.running.number == 2
    assert stage.lifecycle.steps[-5:] == ["exited by itself", "brief", "2 prepare", "2 open", "started"]


async def test_a_fault_behind_a_death(stage: Stage) -> None:
    """If the work after a death fails, she still gets another process, and her lanes are read back."""
    await stage.keeper.start()
    stage.lifecycle.fails["exited by itself"] = OURS
    stage.running.die()
    await stage.through()
    assert stage.running.number == 2
    assert stage.lifecycle.steps[-6:] == ["dropped", "read back", "brief", "2 prepare", "2 open", "started"]
    (fault,) = logged(stage.log, "persona.fault")
    assert "ValueError: a mistake of ours" in str(fault["trace"])


async def test_a_fault_in_one_of_her_tasks(stage: Stage) -> None:
    """Her process is killed visibly, and her state in memory is not used again."""
    await stage.keeper.start()
    first = stage.running

    async def fail() -> None:
        raise OURS

    stage.hers.start(fail())
    await settled()
    assert not first.lives
    assert stage.state == "backoff"
    assert stage.keeper.view().reason == "a fault in personad: ValueError: a mistake of ours"
    await stage.through()
    assert stage.running.number == 2
    assert stage.lifecycle.steps[-7:] == ["1 kill", "dropped", "read back", "brief", "2 prepare", "2 open", "started"]
    assert len(logged(stage.log, "persona.fault")) == 1


async def test_a_timer_that_fails_is_a_fault(stage: Stage) -> None:
    """Her timers count as her tasks."""
    await stage.keeper.start()
    stage.hers.call_later(5.0, lambda: 1 / 0)
    await stage.through(20.0)
    assert stage.running.number == 2


async def test_a_fault_that_stays_makes_her_sick(stage: Stage) -> None:
    """After too many faults she is given up with the reason, and nothing of her runs."""
    await stage.keeper.start()
    for _ in range(LIMITS.failures):
        if stage.state == "running":
            stage.hers.failed(OURS)
        await stage.through()
    assert stage.state == "failed"
    assert stage.lifecycle.alive == []
    assert stage.lifecycle.steps[-1] == "sick: a fault in personad: ValueError: a mistake of ours"
    assert await stage.keeper.start()
    assert stage.running.number == LIMITS.failures + 1


@pytest.mark.parametrize("step", ["brief", "prepare", "open", "started"])
async def test_a_fault_on_her_way_up(stage: Stage, step: str) -> None:
    """Wherever the fault is, no process is left behind, and starts are tried until it is gone."""
    stage.lifecycle.fails[step] = OURS
    stage.keeper.boot()
    await settled()
    assert (stage.state, stage.lifecycle.alive) == ("backoff", [])
    del stage.lifecycle.fails[step]
    await stage.through()
    assert stage.running.lives
    assert "read back" in stage.lifecycle.steps


@pytest.mark.parametrize("step", ["brief", "prepare", "open", "started"])
async def test_a_fault_in_a_start_is_told(stage: Stage, step: str) -> None:
    """The caller of start gets the reason, and she can be started again."""
    stage.lifecycle.fails[step] = OURS
    with pytest.raises(StartFailed, match="a fault in personad: ValueError"):
        await stage.keeper.start()
    assert (stage.state, stage.lifecycle.alive) == ("failed", [])
    del stage.lifecycle.fails[step]
    assert await stage.keeper.start()
    assert stage.running.lives


@pytest.mark.parametrize("step", ["dropped", "read back"])
@pytest.mark.parametrize("error", [OURS, GenerationFailed("the disk is full")])
async def test_what_cannot_be_read_back_is_tried_again(stage: Stage, step: str, error: Exception) -> None:
    """No process is started until the state after a fault is repaired."""
    await stage.keeper.start()
    stage.lifecycle.fails[step] = error
    stage.hers.failed(OURS)
    await settled()
    assert stage.lifecycle.alive == []
    await stage.clock.advance(2.0)
    assert [one.number for one in stage.lifecycle.generations if one.forked] == [1]
    del stage.lifecycle.fails[step]
    await stage.through()
    assert stage.running.lives
    assert stage.lifecycle.steps.index("read back") > stage.lifecycle.steps.index("dropped")


async def test_a_fault_while_she_is_stopped(stage: Stage) -> None:
    """The fault is logged, and her next start reads the ledger first."""
    stage.hers.failed(OURS)
    await stage.keeper.start()
    assert stage.lifecycle.steps[:3] == ["dropped", "read back", "brief"]
    assert stage.running.lives


@pytest.mark.parametrize("step", ["exited", "sick"])
async def test_a_fault_at_the_end(stage: Stage, step: str) -> None:
    """A fault then blocks neither a stop nor giving her up."""
    await stage.keeper.start()
    stage.lifecycle.fails[step] = OURS
    if step == "exited":
        await stage.keeper.stop()
        assert stage.state == "stopped"
    else:
        stage.running.die("the settings are wrong", permanent=True)
        await settled()
        assert stage.state == "failed"
    assert stage.lifecycle.alive == []
    assert len(logged(stage.log, "persona.fault")) == 1


async def test_a_restart_opens_only_behind_the_old_process(stage: Stage) -> None:
    """The next process is prepared while the old one runs, and opens when that is gone."""
    await stage.keeper.start()
    await stage.keeper.restart()
    assert stage.running.number == 2
    assert stage.lifecycle.steps[-5:] == ["2 prepare", "1 stop", "exited", "2 open", "started"]


async def test_no_process_opens_beside_one_that_does_not_die(stage: Stage) -> None:
    """While the kernel holds the old process, no other gets her tokens, however often a start is tried."""
    await stage.keeper.start()
    stage.lifecycle.fails["1 stop"] = GenerationFailed("process 4001 does not die")
    with pytest.raises(StartFailed, match="does not die"):
        await stage.keeper.restart()
    await stage.clock.advance(2.0)
    assert [one.number for one in stage.lifecycle.generations if one.opened] == [1]
    del stage.lifecycle.fails["1 stop"]
    await stage.through()
    assert len(stage.lifecycle.alive) == 1
    assert stage.running.number > 1


async def test_a_start_that_is_cancelled(stage: Stage) -> None:
    """A cancelled start leaves nothing behind, and she is stopped."""
    starting = asyncio.create_task(stage.keeper.start())
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert (stage.state, stage.lifecycle.alive) == ("stopped", [])
    assert await stage.keeper.start()


async def test_a_closed_keeper_starts_nobody(stage: Stage) -> None:
    """A late command is refused because the daemon is stopping."""
    await stage.keeper.start()
    await stage.keeper.close()
    for command in (stage.keeper.start, stage.keeper.restart):
        with pytest.raises(StartFailed, match="stopping"):
            await command()
    assert stage.lifecycle.alive == []


async def test_a_fault_of_the_keeper_itself(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that the keeper cannot repair is the daemon's, and is logged as that."""
    await stage.keeper.start()

    def broken() -> float:
        raise OURS

    monkeypatch.setattr(stage.keeper, "_delay", broken)
    stage.running.die()
    await settled()
    assert stage.daemons.fault.result() is OURS
    assert stage.state == "backoff"
    assert len(logged(stage.log, "daemon.crashed")) == 1
