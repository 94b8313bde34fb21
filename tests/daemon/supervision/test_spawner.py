"""The search for strays, at moments that only a busy machine reaches."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemon.logging.log import Log
from daemon.runtime.tasks import Tasks
from daemon.supervision import spawner
from daemon.supervision.processes import Process
from daemon.supervision.spawner import STRAYS_AFTER, Spawner
from proto.walls import Walls
from tests.daemon.supervision.played import ManualClock, log_to, settled
from tests.patience import PATIENCE

STARTING = 4242
"""The pid of a process that starts while the search looks, and has ended when it compares."""


async def ended_process() -> Process:
    """A process of ours that has ended and is reaped."""
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], dict(os.environ))  # noqa: ASYNC221 (it only starts)
    process = Process(pid, os.pidfd_open(pid))
    await asyncio.wait_for(process.wait(), PATIENCE)
    return process


async def test_a_process_that_starts_meanwhile_is_no_stray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not signalled: its pid may be another's by then."""
    looking, found, ended = threading.Event(), threading.Event(), list[set[int]]()

    def children() -> list[int]:
        looking.set()
        assert found.wait(PATIENCE)
        return [STARTING]

    monkeypatch.setattr(spawner, "children", children)
    monkeypatch.setattr(spawner, "end_strays", ended.append)
    clock = ManualClock()
    with log_to(tmp_path / "log") as log:
        tasks = Tasks(clock, log, lambda _: None)
        monkeypatch.setattr(tasks, "child", lambda: tasks)
        made = Spawner("ipc://none", 1.0, 1000, tasks, clock, log)
        starting = asyncio.create_task(made.spawn("persona", "Eve", b"1", frozenset(), Walls(), log))
        await asyncio.sleep(0)
        made.reaped(await ended_process())
        await clock.advance(STRAYS_AFTER)
        assert await asyncio.to_thread(looking.wait, PATIENCE)
        starting.cancel()
        await asyncio.wait([starting])
        found.set()
        while len(tasks):  # noqa: ASYNC110 (the search has no event)
            await asyncio.sleep(0)
        assert ended == []


class _Warm:
    """A zygote that is warm at once and only says what nobody waits for any more."""

    def __init__(self, kinds: frozenset[str], _: int, __: int, discard: Callable[[Process], None], ___: Log) -> None:
        self.kinds = kinds
        self.discard = discard
        self.warm = asyncio.get_running_loop().create_future()
        self.warm.set_result(None)
        pid = os.posix_spawn(sys.executable, [sys.executable, "-c", "import time; time.sleep(60)"], dict(os.environ))
        self.process = Process(pid, os.pidfd_open(pid))

    def retire(self) -> None: ...

    async def retire_after_exit(self) -> None: ...


async def test_a_process_that_nobody_waits_for_is_no_stray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes after its start was cancelled: it is killed, and reaped once, by the one who knows it."""
    zygotes, seen = list[_Warm](), list[set[int]]()

    def made_zygote(*parts: Any) -> _Warm:
        zygotes.append(_Warm(*parts))
        return zygotes[-1]

    monkeypatch.setattr(spawner, "Zygote", made_zygote)
    clock = ManualClock()
    with log_to(tmp_path / "log") as log:
        tasks = Tasks(clock, log, lambda _: None)
        made = Spawner("ipc://none", 1.0, 1000, tasks, clock, log)
        made.start(frozenset())
        await settled()
        pid = os.posix_spawn(sys.executable, [sys.executable, "-c", "import time; time.sleep(60)"], dict(os.environ))  # noqa: ASYNC221 (it only starts)
        late = Process(pid, os.pidfd_open(pid))
        monkeypatch.setattr(spawner, "children", lambda: [pid])
        monkeypatch.setattr(spawner, "end_strays", lambda pids: seen.append(set(pids)))
        # The search runs between the kill and the reaping.
        monkeypatch.setattr(late, "kill", lambda: None)
        zygotes[0].discard(late)
        made.reaped(await ended_process())
        await clock.advance(STRAYS_AFTER)
        async with asyncio.timeout(PATIENCE):
            while not seen:  # noqa: ASYNC110 (the search has no event)
                await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        await asyncio.wait_for(late.wait(), PATIENCE)
        await made.close()
    assert seen[0] == set()
