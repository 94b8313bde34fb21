"""The life cycle of every process on the link: one test for each rule, for every role."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from daemon.feeding.feeder import Feeder, FeederDied
from daemon.ledger import Ledger
from daemon.logging.log import Log
from daemon.runtime.clock import Clock, SystemClock
from daemon.runtime.tasks import Tasks, daemon_tasks
from daemon.settings.settings import Organs, Settings, Supervision
from daemon.supervision import oom_kills
from daemon.supervision.enclosures import Enclosures
from daemon.supervision.generation import Generation
from daemon.supervision.lifecycle import GenerationFailed
from daemon.supervision.link import Link
from daemon.supervision.linked_process import LinkedProcess, ProcessContext, ProcessFailed
from daemon.supervision.oom_kills import CLAIMED_WITHIN, REASON, OomKills, own_events
from daemon.supervision.organ_host import OrganHost
from daemon.supervision.prober import Prober
from daemon.supervision.processes import Process
from proto.birth import Role
from proto.feeds import Feed
from proto.framing import Codec
from proto.gateways import GatewayChanged, GatewayState
from proto.messages import (
    VERSION,
    FromWorker,
    Heartbeat,
    Hello,
    MindLimits,
    OrganCall,
    OrganResult,
    Prepare,
    Probed,
)
from proto.records import Organ, Persona
from proto.walls import Walls
from tests.daemon.fakes.costs import no_costs
from tests.daemon.supervision.played import ManualClock, log_to, logged, settled
from tests.patience import PATIENCE
from worker.base.link import Link as WorkerLink

CODEC: Codec[FromWorker] = Codec(FromWorker)  # type: ignore[arg-type]  # a union is no type to mypy
ANY: Codec[Any] = Codec(Any)  # Any: what the daemon sends is of no interest here
EVENTS = "low 0\nhigh 12\nmax 40\noom 3\noom_kill {kills}\noom_group_kill 0\n"
"""What the kernel writes (https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files)."""
SLEEP = ["/bin/sh", "-c", "trap '' USR2; exec sleep 600"]
"""A process that survives the signal for its stacks, as the daemon's processes do."""
NEXT = f"it speaks version {VERSION + 1} of the protocol, the daemon {VERSION}"


def _sleeper() -> Process:
    pid = os.posix_spawn(SLEEP[0], SLEEP, dict(os.environ), setsid=True)
    return Process(pid, os.pidfd_open(pid))


@dataclass
class ProcessStarter:
    """Starts processes that only sleep; the test sends their messages on the link, the greeting first."""

    link: Link
    greeting: msgspec.Struct | None = field(default_factory=lambda: Hello(VERSION, 1))
    made: list[Process] = field(default_factory=list)
    reaped_: list[int] = field(default_factory=list)
    lines: list[WorkerLink[Any]] = field(default_factory=list)

    async def spawn(
        self, role: Role, title: str, routing_id: bytes, kinds: frozenset[str], walls: Walls, log: Log
    ) -> Process:
        process = _sleeper()
        self.made.append(process)
        self.lines.append(WorkerLink(self.link.endpoint, routing_id, ANY, lambda _: None))
        if self.greeting:
            self.lines[-1].send(self.greeting)
        return process

    def reaped(self, process: Process) -> None:
        self.reaped_.append(process.pid)

    def all_reaped(self) -> bool:
        """Whether every process is gone, and was reported as reaped."""
        return self.reaped_ == [one.pid for one in self.made] and not any(one.alive for one in self.made)


@dataclass
class Stage:
    """A real link, a fake spawner, and owners of tasks."""

    starter: ProcessStarter
    context: ProcessContext
    tasks: Tasks
    log: Log
    events: Path
    """The control group's ``memory.events``."""


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage with the machine's clock."""
    async for made in _stage(tmp_path, SystemClock()):
        yield made


async def _stage(folder: Path, clock: Clock) -> AsyncIterator[Stage]:
    with log_to(folder / "log") as log:
        link = Link(folder, clock, log)
        starter = ProcessStarter(link)
        tasks = daemon_tasks(clock, log)
        enclosures = Enclosures(Settings(state_dir=folder, runtime_dir=folder), list)
        events = folder / "memory.events"
        events.write_text(EVENTS.format(kills=7))
        context = ProcessContext(starter, link, enclosures, clock, OomKills(events, clock))
        yield Stage(starter, context, tasks, log, events)
        await tasks.close()
        for line in starter.lines:
            line.close()
        for process in starter.made:
            process.kill()
            await process.wait()
        link.close()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until this holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  the link tells nobody
            await asyncio.sleep(0)


async def _worker(stage: Stage) -> str:
    generation = Generation(1, stage.context, Supervision(), stage.tasks, stage.log, lambda *_: None)
    persona = Persona("her", "Eve", Organ("m", "openai"))
    with pytest.raises(GenerationFailed) as failed:
        await generation.prepare(Prepare(persona, MindLimits(1.0, 1.0, 0), {}, [], ""), frozenset())
    return str(failed.value)


async def _feeder(stage: Stage) -> str:
    feeder = Feeder(stage.context, Supervision(), partial(no_costs().meter, "her"), stage.tasks, stage.log)
    feed = Feed("", "chatgpt", "Eve", Organ("m"), MindLimits(1.0, 1.0, 0), {})
    with pytest.raises(FeederDied) as died:
        await feeder.begin(feed, frozenset())
    return str(died.value)


async def _organ_host(stage: Stage) -> str:
    results: list[OrganResult] = []
    nothing = cast("Ledger", None)
    host = OrganHost(Organs(), nothing, stage.context, stage.tasks, stage.context.clock, stage.log)
    host.call(OrganCall(1, "thinking"), Path(), results.append)
    await until(lambda: bool(results))
    assert results[0].passing
    return str(results[0].error)


async def _probe(stage: Stage) -> str:
    limits = MindLimits(1.0, 1.0, 0)
    prober = Prober(stage.context, limits, {}, 15.0, no_costs(), stage.tasks, stage.context.clock, stage.log)
    return await prober.probe(Organ("m", "openai"))


@pytest.mark.parametrize("begin", [_worker, _feeder, _organ_host, _probe])
async def test_one_that_speaks_another_version_is_killed(
    stage: Stage, begin: Callable[[Stage], Awaitable[str]]
) -> None:
    """A process of any role is killed at such a greeting, with the reason, without a wait for another greeting."""
    stage.starter.greeting = Hello(VERSION + 1, 1)
    async with asyncio.timeout(PATIENCE):
        assert NEXT in await begin(stage)
        await until(stage.starter.all_reaped)


async def test_a_probe_is_reaped_before_its_answer(stage: Stage) -> None:
    """A probe that does not exit when asked is signalled, and is gone when the answer is returned."""
    limits, clock = MindLimits(1.0, 1.0, 0), stage.context.clock
    prober = Prober(stage.context, limits, {}, 15.0, no_costs(), stage.tasks, clock, stage.log)
    asking = asyncio.create_task(prober.probe(Organ("m", "openai")))
    await until(lambda: bool(stage.starter.lines))
    stage.starter.lines[0].send(Probed())
    assert await asking == ""
    assert stage.starter.all_reaped()


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage with a clock that is set by hand."""
    async for made in _stage(tmp_path, ManualClock()):
        yield made


def _clock(stage: Stage) -> ManualClock:
    assert isinstance(stage.context.clock, ManualClock)
    return stage.context.clock


async def _greeted(stage: Stage, heard: Callable[[FromWorker], None] = lambda _: None) -> LinkedProcess[FromWorker]:
    process = LinkedProcess("persona", CODEC, heard, stage.context, stage.tasks, stage.log)
    await process.start("Eve", frozenset(), Walls(), 20.0)
    process.watch_heart(15.0)
    return process


async def test_one_that_does_not_greet_is_killed(slow: Stage) -> None:
    """It is killed at the deadline, with the reason."""
    slow.starter.greeting = None
    process = LinkedProcess("persona", CODEC, lambda _: None, slow.context, slow.tasks, slow.log)
    greeting = asyncio.create_task(process.start("Eve", frozenset(), Walls(), 20.0))
    await until(lambda: bool(slow.starter.made))
    await _clock(slow).advance(20.0)
    await _clock(slow).advance(1.0)
    with pytest.raises(ProcessFailed, match="it did not greet within 20 s"):
        await greeting
    assert slow.starter.all_reaped()


async def test_silence_is_the_end(slow: Stage) -> None:
    """A process that is silent for too long writes its stacks and is killed."""
    process = await _greeted(slow)
    await _clock(slow).advance(15.0)
    assert process.pid
    await _clock(slow).advance(1.0)
    assert "it hung: no heartbeat for 15 s" in str(await process.end)
    assert len(logged(slow.log, "worker.hung")) == 1
    assert slow.starter.all_reaped()


async def test_more_memory_than_it_may_hold_is_the_end(slow: Stage) -> None:
    """It is weighed at each heartbeat; one over its ceiling is killed, and the reason says so."""
    ends = []
    for ceiling in (1 << 40, 4096):
        process = LinkedProcess("persona", CODEC, lambda _: None, slow.context, slow.tasks, slow.log)
        await process.start("Eve", frozenset(), Walls(memory=ceiling), 20.0)
        process.watch_heart(15.0)
        slow.starter.lines[-1].send(Heartbeat(0.0, []))
        ends.append(process)
    assert str(await ends[1].end).startswith("killed for memory: it held ")
    assert ends[0].pid
    await ends[0].killed()


def _kernel_kills(stage: Stage, number: int, kills: int) -> None:
    """The kernel counts its kills, this one among them, and sends the signal."""
    stage.events.write_text(EVENTS.format(kills=kills))
    os.kill(stage.starter.made[number].pid, signal.SIGKILL)


async def test_the_kernels_oom_killer_is_told_from_another_signal(slow: Stage) -> None:
    """Each kill that it counted is one process's reason; one that dies by another SIGKILL has only the signal."""
    processes = [await _greeted(slow) for _ in range(4)]
    _kernel_kills(slow, 0, 9)
    assert str(await processes[0].end) == f"{REASON} (killed by SIGKILL)"
    os.kill(slow.starter.made[1].pid, signal.SIGKILL)
    assert str(await processes[1].end) == f"{REASON} (killed by SIGKILL)"
    os.kill(slow.starter.made[2].pid, signal.SIGKILL)
    assert str(await processes[2].end) == "the process ended: killed by SIGKILL"
    _kernel_kills(slow, 3, 10)
    assert str(await processes[3].end).startswith("killed for memory: ")


async def test_what_the_kernel_killed_earlier_is_no_reason(slow: Stage) -> None:
    """A kill of another process in the group, noticed at a heartbeat, is not a later death's; neither is our own."""
    heard: list[FromWorker] = []
    process = await _greeted(slow, heard.append)
    slow.events.write_text(EVENTS.format(kills=8))
    slow.starter.lines[0].send(Heartbeat(0.0, []))
    await until(lambda: any(isinstance(one, Heartbeat) for one in heard))
    await _clock(slow).advance(CLAIMED_WITHIN + 1)
    os.kill(slow.starter.made[0].pid, signal.SIGKILL)
    assert str(await process.end) == "the process ended: killed by SIGKILL"
    ours = await _greeted(slow)
    slow.events.write_text(EVENTS.format(kills=9))
    await ours.killed()
    assert str(await ours.end) == "the process ended: killed by SIGKILL"


@pytest.mark.parametrize("text", [None, "", "oom_kill\n", "oom_kill x\n", "oom 7\n"])
async def test_a_kernel_that_does_not_count_is_no_reason(slow: Stage, text: str | None) -> None:
    """Without the file, or with one that cannot be read, the signal is all that is known."""
    process = await _greeted(slow)
    slow.events.unlink()
    if text is not None:
        slow.events.write_text(text)
    os.kill(slow.starter.made[0].pid, signal.SIGKILL)
    assert str(await process.end) == "the process ended: killed by SIGKILL"


def test_the_own_groups_count_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a service, in a container whose group is the root that it sees, and on a machine without version 2."""
    group = tmp_path / "cgroup"
    monkeypatch.setattr(oom_kills, "_OWN_GROUP", group)
    assert own_events() is None
    for text, path in (
        ("0::/system.slice/personad.service\n", "/sys/fs/cgroup/system.slice/personad.service/memory.events"),
        ("4:memory:/x\n0::/\n", "/sys/fs/cgroup/memory.events"),
        ("4:memory:/x\n", None),
    ):
        group.write_text(text)
        assert own_events() == (Path(path) if path else None)


async def test_it_was_the_daemon_that_stood_still(slow: Stage) -> None:
    """A heartbeat that was unread while the daemon stood still counts."""
    heard: list[FromWorker] = []
    process = await _greeted(slow, heard.append)
    await _clock(slow).advance(15.0)
    slow.starter.lines[0].send(Heartbeat(0.0, []))
    await until(lambda: any(isinstance(one, Heartbeat) for one in heard))
    await _clock(slow).advance(10.0)
    assert process.pid
    assert logged(slow.log, "worker.hung") == []


async def test_a_message_that_cannot_be_dealt_with_is_a_fault(slow: Stage) -> None:
    """An exception in ``receive`` is its owner's fault, and later messages are still read."""
    heard: list[FromWorker] = []

    def take(message: FromWorker) -> None:
        heard.append(message)
        if message.__class__ is GatewayChanged:
            raise ValueError("a mistake of ours")

    await _greeted(slow, take)
    for message in (GatewayChanged(GatewayState("0" * 16, "connected")), Heartbeat(0.0, [])):
        slow.starter.lines[0].send(message)
    await until(lambda: len(heard) == 2)
    assert isinstance(slow.tasks.fault.result(), ValueError)


async def test_a_stop_goes_as_far_as_it_must(slow: Stage) -> None:
    """It sends a stop frame, and after the deadline a signal."""
    process = await _greeted(slow)
    stopping = asyncio.create_task(process.stop(3.0))
    await settled()
    assert process.pid
    await _clock(slow).advance(3.0)
    await stopping
    assert str(await process.end) == "the process ended: killed by SIGTERM"
    assert slow.starter.all_reaped()
