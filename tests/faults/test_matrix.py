"""The fault matrix: an exception that nobody expects, before and after every await of what serves a persona.

At none is anything accepted lost, anybody deaf, or the fault silent. ``tests.chaos`` does the same with kills.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from daemon.channels import pairing_codes
from daemon.logging.log import Log
from tests.daemon.fakes.clock import JumpingLoop
from tests.daemon.fakes.processes import Outside
from tests.faults.assembled_daemon import AssembledDaemon, Disk, FaultSink
from tests.faults.awaits import Instrumented, Mode, Sabotage, Site
from tests.faults.scenario import Day

MODULES: Final = (
    "daemon.supervision.keeper",
    "daemon.supervision.worker_start_and_exit",
    "daemon.supervision.dispatch",
    "daemon.supervision.generation",
    "daemon.supervision.supervisor",
    "daemon.conversations.endings",
    "daemon.conversations.inbox",
    "daemon.conversations.delivery",
    "daemon.conversations.consolidation",
    "daemon.conversations.publisher",
    "daemon.channels.intake",
    "daemon.channels.owner_intake",
    "daemon.channels.visitor_intake",
    "daemon.channels.webhook_queue",
    "daemon.channels.states",
    "daemon.channels.gateways",
    "daemon.channels.register",
    "daemon.channels.bot_commands",
)

INSTRUMENTED: Final = Instrumented(MODULES)

# One that is raised before a coroutine is awaited leaves it behind; that is what such an exception does.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@pytest.fixture(scope="module", autouse=True)
def _instrumented() -> Iterator[None]:
    INSTRUMENTED.install()
    yield
    INSTRUMENTED.remove()
    # Coroutines that were left behind end here, where their warning is ignored, and not in another file's test.
    gc.collect()


@pytest.fixture(scope="module", autouse=True)
def _quick_codes() -> Iterator[None]:
    """Codes are hashed in no time: what a guess costs is not asked here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairing_codes, "ROUNDS", 1)
        yield


@pytest.fixture(scope="module")
def disk() -> Iterator[Disk]:
    """The disk of all runs."""
    with pytest.MonkeyPatch.context() as patch:
        yield Disk(patch)


class Start:
    """A state directory and a world from which every run begins."""

    def __init__(self, folder: Path, day: Day) -> None:
        self.late: set[int] = set()
        """The sites that a run without a fault reaches when no later fault can repair an earlier one."""
        self._folder = folder
        self._day = day

    def copy(self, folder: Path) -> tuple[Path, Day]:
        """A copy for one run."""
        state = folder / "state"
        shutil.copytree(self._folder, state)
        day = copy.deepcopy(self._day)
        return state, day


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultSink]:
    """Where the logs of all runs go."""
    with (tmp_path_factory.mktemp("log") / "log").open("wb") as stream:
        yield FaultSink(stream.fileno())


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, disk: Disk, log: FaultSink) -> Start:
    """Set up once."""
    folder = tmp_path_factory.mktemp("start")
    day = Day(Outside())

    async def set_up() -> None:
        daemon = AssembledDaemon(folder, day.outside, disk, Log(log))
        await daemon.start()
        await day.set_up(daemon)
        await daemon.close()

    run(set_up())
    start = Start(folder, day)
    outcome = run(live(*start.copy(tmp_path_factory.mktemp("plain")), disk, log))
    assert isinstance(outcome, Outcome)
    assert not outcome.wrong, "a day without a fault:\n" + "\n".join(outcome.wrong)
    start.late = set(INSTRUMENTED.switch.reached)
    return start


class Outcome:
    """How one run went."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.traces: list[str] = []
        self.ended: list[BaseException] = []
        """What the daemon ended with, and said on standard error."""
        self.lives = 0


def run(work: object) -> object:
    """Run a coroutine where time jumps."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(work)  # type: ignore[arg-type]


async def live(state: Path, day: Day, disk: Disk, sink: FaultSink) -> Outcome:
    """A day, and as many lives of the daemon as it needs."""
    outcome = Outcome()
    outcome.wrong.append("it never came to its end")
    log = Log(sink)
    whole = True
    while outcome.lives < 3 and outcome.wrong:
        outcome.lives += 1
        disk.full_for.clear()
        day.outside.refusing = False
        daemon = AssembledDaemon(state, day.outside, disk, log)
        try:
            await daemon.start()
        except Sabotage as error:
            outcome.ended.append(error)
            continue
        if whole:
            await daemon.until_fault(day.run(daemon, INSTRUMENTED.switch.mended))
        whole = False
        disk.full_for.clear()
        day.outside.refusing = False
        if not daemon.tasks.fault.done():
            await daemon.until_fault(day.last_words(daemon))
        if not daemon.tasks.fault.done():
            outcome.wrong = await day.judge(daemon)
        try:
            await daemon.close()
        except Sabotage as error:
            outcome.ended.append(error)
        day.outside.living.clear()
        if outcome.lives == 1 and not outcome.ended and not daemon.tasks.fault.done():
            break
    return outcome


@pytest.mark.parametrize("mode", ["before", "after"])
@pytest.mark.parametrize("site", INSTRUMENTED.sites, ids=str)
def test_a_fault(site: Site, mode: Mode, start: Start, disk: Disk, log: FaultSink, tmp_path: Path) -> None:
    """Everything accepted is answered once, everybody is heard afterwards, and the fault is told."""
    state, day = start.copy(tmp_path)
    switch = INSTRUMENTED.switch
    mark = f"{mode} site {site.number}"
    log.traces.clear()
    switch.arm(site.number, mode, late=site.number in start.late)
    try:
        outcome = run(live(state, day, disk, log))
    finally:
        struck = switch.struck
        switch.disarm()
    assert struck, f"nothing in the day comes to {site.name}: let something"
    assert isinstance(outcome, Outcome)
    told = [str(error) for error in (*day.failed_requests, *outcome.ended)]
    traces = [trace for trace in log.traces if f"{mark}\n" in f"{trace}\n"]
    wrong = outcome.wrong
    if not traces and mark not in told:
        wrong = [*wrong, f"nobody was told of the fault at {site.name}"]
    assert not wrong, f"{site.name}, {mode}, {outcome.lives} lives:\n" + "\n".join(wrong)
