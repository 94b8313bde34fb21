"""Owners of tasks: what is a fault, what a cancelled task may do, and how long anything waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.logging.log import Log
from daemon.runtime.tasks import END_TIMEOUT, LOGGED, PersonaTasks, Tasks, carried_through, daemon_tasks, describe
from tests.daemon.supervision.played import ManualClock, log_to, logged, settled

OURS = ValueError("a mistake of ours")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """A log of its own."""
    with log_to(tmp_path / "log") as log:
        yield log


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()


async def forever() -> None:
    """Wait until it is cancelled."""
    await asyncio.Event().wait()


async def failing() -> None:
    """A mistake in a task."""
    raise OURS


class Stubborn:
    """Ignores its cancellation until ``release``."""

    def __init__(self) -> None:
        self.cancelled = 0
        self._released = asyncio.Event()

    def release(self) -> None:
        """Let it end."""
        self._released.set()

    async def run(self) -> str:
        """The task."""
        while not self._released.is_set():
            try:
                await self._released.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
        return "late"


async def ended_at(clock: ManualClock, seconds: float, *ending: asyncio.Task[Any]) -> None:
    """These tasks wait until the clock has turned this far, and end then."""
    await settled()
    assert not any(task.done() for task in ending)
    await clock.advance(seconds / 2)
    assert not any(task.done() for task in ending)
    await clock.advance(seconds / 2)
    assert all(task.done() for task in ending)


async def test_an_exception_in_a_task_is_a_fault(clock: ManualClock, log: Log) -> None:
    """It is logged with its trace and kept until it is cleared; a cancelled task is no fault."""
    tasks = daemon_tasks(clock, log)
    idle = tasks.start(forever())
    tasks.start(failing())
    await settled()
    assert tasks.fault.result() is OURS
    (event,) = logged(log, "daemon.crashed")
    assert "a mistake of ours" in str(event["trace"])
    tasks.clear_fault()
    idle.cancel()
    await settled()
    assert (tasks.fault.done(), len(tasks)) == (False, 0)


@pytest.mark.parametrize("way", ["timer", "call", "contained", "reported"])
async def test_an_exception_in_a_callback_is_a_fault(clock: ManualClock, log: Log, way: str) -> None:
    """Whichever way the owner runs it."""
    tasks = daemon_tasks(clock, log)

    def raising() -> None:
        raise OURS

    match way:
        case "timer":
            tasks.call_later(3.0, raising)
            assert not tasks.fault.done()
            await clock.advance(3.0)
        case "call":
            tasks.call(raising)
        case "contained":
            with tasks.contained():
                raising()
        case "reported":
            with pytest.raises(ValueError, match="a mistake of ours"), tasks.reported(OSError):
                raising()
    assert tasks.fault.result() is OURS


async def test_an_expected_exception_is_no_fault(clock: ManualClock, log: Log) -> None:
    """It is raised to the caller."""
    tasks = daemon_tasks(clock, log)
    with pytest.raises(OSError, match="full"), tasks.reported(OSError):
        raise OSError("full")
    assert not tasks.fault.done()


async def test_faults_in_a_loop_do_not_fill_the_log(clock: ManualClock, log: Log) -> None:
    """The first ones are logged, and further ones again after the fault is cleared."""
    tasks = daemon_tasks(clock, log)
    for _ in range(2 * LOGGED):
        tasks.failed(OURS)
    assert len(logged(log, "daemon.crashed")) == LOGGED
    tasks.clear_fault()
    tasks.failed(OURS)
    assert len(logged(log, "daemon.crashed")) == LOGGED + 1


async def test_a_child_reports_to_its_parent(clock: ManualClock, log: Log) -> None:
    """Its faults are the parent's; closing it leaves the parent's tasks alone."""
    tasks = daemon_tasks(clock, log)
    child = tasks.child()
    outer, inner = tasks.start(forever()), child.start(forever())
    await settled()
    await child.close()
    assert (outer.done(), inner.cancelled()) == (False, True)
    child.start(failing())
    await settled()
    assert tasks.fault.result() is OURS
    await tasks.close()


async def test_reset_leaves_commands_alone(clock: ManualClock, log: Log) -> None:
    """A command may be what resets; ``close`` ends it too."""
    tasks = daemon_tasks(clock, log)
    work, command = tasks.start(forever()), tasks.start_command(forever())
    await settled()
    assert len(tasks) == 2
    await tasks.reset()
    assert (work.cancelled(), command.done()) == (True, False)
    await tasks.close()
    assert command.cancelled()


async def test_a_task_may_close_its_owner(clock: ManualClock, log: Log) -> None:
    """It is neither cancelled nor waited for."""
    tasks = daemon_tasks(clock, log)
    other = tasks.start(forever())
    await asyncio.sleep(0)
    closing = tasks.start(tasks.close())
    await settled()
    assert (closing.cancelled(), closing.done(), other.cancelled()) == (False, True, True)


@pytest.mark.parametrize("way", ["reset", "close"])
async def test_a_task_that_ignores_its_cancellation(clock: ManualClock, log: Log, way: str) -> None:
    """It holds up its owner for a limited time, and is named; what it raises afterwards is still a fault."""
    tasks, stubborn = daemon_tasks(clock, log), Stubborn()
    task, obedient = tasks.start(stubborn.run()), tasks.start(forever())
    await settled()
    ending = asyncio.create_task(tasks.reset() if way == "reset" else tasks.close())
    await ended_at(clock, END_TIMEOUT, ending)
    assert (stubborn.cancelled, obedient.cancelled(), len(tasks)) == (1, True, 1)
    (event,) = logged(log, "task.stuck")
    assert (event["task"], event["seconds"]) == ("Stubborn.run", END_TIMEOUT)
    stubborn.release()
    assert await task == "late"
    await settled()
    assert len(tasks) == 0


async def test_nobody_waits_for_the_clock_if_all_end(clock: ManualClock, log: Log) -> None:
    """Nothing is logged, and no timer is left."""
    tasks = daemon_tasks(clock, log)
    tasks.start(forever())
    await settled()
    await tasks.close()
    await clock.advance(2 * END_TIMEOUT)
    assert logged(log, "task.stuck") == []


async def test_the_first_to_end_has_the_result(clock: ManualClock, log: Log) -> None:
    """The others are cancelled. What one raises goes to the caller and is no fault of the owner."""
    tasks = daemon_tasks(clock, log)

    async def soon() -> None:
        return None

    await tasks.first_of(forever(), soon())
    with pytest.raises(ValueError, match="a mistake of ours"):
        await tasks.first_of(forever(), failing())
    assert (tasks.fault.done(), len(asyncio.all_tasks())) == (False, 1)


async def test_the_first_of_two_with_a_stubborn_one(clock: ManualClock, log: Log) -> None:
    """The result comes even if the other one does not end."""
    tasks, stubborn = daemon_tasks(clock, log), Stubborn()

    async def soon() -> str:
        return "first"

    asking = asyncio.create_task(tasks.first_of(stubborn.run(), soon()))
    await ended_at(clock, END_TIMEOUT, asking)
    assert asking.result() == "first"
    assert [event["task"] for event in logged(log, "task.stuck")] == ["Stubborn.run"]
    stubborn.release()
    await settled()


async def test_work_beside_a_block(clock: ManualClock, log: Log) -> None:
    """It runs as long as the block; what it raised before is raised at the end of the block."""
    tasks = daemon_tasks(clock, log)
    async with tasks.beside(forever()) as work:
        await settled()
        assert not work.done()
    assert work.cancelled()
    with pytest.raises(ValueError, match="a mistake of ours"):
        async with tasks.beside(failing()):
            await settled()
    assert not tasks.fault.done()


async def test_stubborn_work_beside_a_block(clock: ManualClock, log: Log) -> None:
    """The block's own exception comes out in limited time."""
    tasks, stubborn = daemon_tasks(clock, log), Stubborn()

    async def block() -> None:
        async with tasks.beside(stubborn.run()):
            await settled()
            raise OSError("full")

    running = asyncio.create_task(block())
    await settled()
    await ended_at(clock, END_TIMEOUT, running)
    assert isinstance(running.exception(), OSError)
    stubborn.release()
    await settled()


async def test_work_that_is_carried_through() -> None:
    """A cancelled caller waits for its end and is cancelled only then; an exception of the work goes to the caller."""
    going_on = asyncio.Event()

    async def work() -> str:
        await going_on.wait()
        return "done"

    caller = asyncio.create_task(carried_through(work()))
    await settled()
    caller.cancel()
    await settled()
    assert not caller.done()
    going_on.set()
    await settled()
    assert caller.cancelled()
    with pytest.raises(ValueError, match="a mistake of ours"):
        await carried_through(failing())


async def test_each_persona_has_an_owner(clock: ManualClock, log: Log) -> None:
    """A fault is hers alone and is logged with her id; a deleted persona's tasks are cancelled."""
    owners = PersonaTasks(clock, log)
    ada, bob = owners.of("ada"), owners.of("bob")
    assert owners.of("ada") is ada
    ada.start(failing())
    waiting = bob.start(forever())
    await settled()
    assert (ada.fault.done(), bob.fault.done()) == (True, False)
    assert [event["persona"] for event in logged(log, "persona.fault")] == ["ada"]
    owners.forget("bob")
    owners.forget("nobody")
    await settled()
    assert waiting.cancelled()
    assert owners.of("bob") is not bob


async def test_personas_are_closed_together(clock: ManualClock, log: Log) -> None:
    """Several of them with tasks that ignore their cancellation cost the time of one."""
    owners, stubborn = PersonaTasks(clock, log), [Stubborn(), Stubborn()]
    for name, one in zip(("ada", "bob"), stubborn, strict=True):
        owners.of(name).start(one.run())
    await settled()
    closing = asyncio.create_task(owners.close())
    await ended_at(clock, END_TIMEOUT, closing)
    assert {event["persona"] for event in logged(log, "task.stuck")} == {"ada", "bob"}
    for one in stubborn:
        one.release()
    await settled()


def test_a_fault_is_described_in_one_line() -> None:
    """As status and /readyz show it."""
    assert describe(OURS) == "a fault in personad: ValueError: a mistake of ours"


async def test_the_report_is_the_owners(clock: ManualClock, log: Log) -> None:
    """Each owner decides what its faults are reported as."""
    reported: list[Exception] = []
    Tasks(clock, log, reported.append).failed(OURS)
    assert reported == [OURS]
