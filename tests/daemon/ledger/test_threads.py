"""A ledger thread that ends with an exception: nothing waits for it for ever."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.ledger.damage import Damage
from daemon.ledger.errors import LedgerError
from daemon.ledger.threads import ConnectionThread, Outcome, Task
from daemon.runtime.tasks import Tasks
from daemon.startup.faults import threads_watched
from tests.daemon.supervision.played import ManualClock, log_to

OURS = ValueError("a mistake of ours")


class Failing(ConnectionThread):
    """Its thread fails at the first batch, once ``go`` is set."""

    def __init__(self, path: Path) -> None:
        self.go = threading.Event()
        super().__init__("failing", path, sqlite3.connect(":memory:", check_same_thread=False), Damage(print))

    def execute(self, batch: list[Task]) -> list[Outcome]:
        """The mistake."""
        self.go.wait()
        raise OURS

    def finish(self) -> None:
        """Not reached."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Pytest's own hook would make a warning of the exception."""
    hook, threading.excepthook = threading.excepthook, lambda _: None
    yield
    threading.excepthook = hook


def nothing(_: sqlite3.Connection) -> None:
    """An operation."""


async def test_what_waits_for_it_is_refused(tmp_path: Path) -> None:
    """What was in hand, what was queued and what comes later gets an error, and closing it ends."""
    thread = Failing(tmp_path / "ledger.db")
    waiting = [thread.submit(nothing) for _ in range(3)]
    thread.go.set()
    for future in waiting:
        with pytest.raises(LedgerError, match="thread has failed"):
            await future
    with pytest.raises(LedgerError):
        thread.submit(nothing)
    await thread.close()


async def test_its_death_is_a_fault_of_the_daemon(tmp_path: Path) -> None:
    """The fault that ends the daemon has the thread's exception."""
    reported: list[Exception] = []
    with log_to(tmp_path / "log") as log:
        tasks = Tasks(ManualClock(), log, reported.append)
        with threads_watched(tasks, asyncio.get_running_loop()):
            thread = Failing(tmp_path / "ledger.db")
            future = thread.submit(nothing)
            thread.go.set()
            assert await tasks.fault is OURS
            with pytest.raises(LedgerError):
                await future
            await thread.close()
    assert reported == [OURS]
