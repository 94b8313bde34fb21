"""The search for strays, at moments that only a busy machine reaches."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path

import pytest

from daemon.runtime.tasks import Tasks
from daemon.supervision import spawner
from daemon.supervision.processes import Process
from daemon.supervision.spawner import STRAYS_AFTER, Spawner
from proto.walls import Walls
from tests.daemon.supervision.played import ManualClock, log_to
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
