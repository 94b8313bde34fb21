"""A SQLite connection on its own thread, with a bounded queue of operations from the event loop."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, TypeAlias, TypeVar, TypeVarTuple

from daemon.ledger.damage import Damage, is_undecodable
from daemon.ledger.errors import LedgerBusy, LedgerDamaged, LedgerEnded, explain

QUEUE: Final = 4096
"""Operations that may wait or run on one thread; any more are refused."""

BATCH: Final = 512
"""Operations in one batch, so that the first of many does not wait for all of them."""

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

# Any: the queue holds operations of every signature; ``submit`` checks each against its arguments and result.
Task: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...], "asyncio.Future[Any]"]
Outcome: TypeAlias = tuple["asyncio.Future[Any]", Any, Exception | None]


class ConnectionThread(ABC):
    """Runs operations in the order of submission; a subclass defines how it runs a batch."""

    def __init__(self, name: str, path: Path, connection: sqlite3.Connection, damage: Damage) -> None:
        self._damage = damage
        self._path = path
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Task | None] = SimpleQueue()
        self._batch: list[Task] = []
        self._unresolved = 0
        self._closing = False
        self._ended: asyncio.Future[None] = self._loop.create_future()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(
        self, operation: Callable[[sqlite3.Connection, *Arguments], T], *arguments: *Arguments
    ) -> asyncio.Future[T]:
        """Queue ``operation(connection, *arguments)``. Cancelling the future does not withdraw it.

        Raise LedgerBusy when the queue is full and LedgerEnded after ``close``.
        """
        if self._closing:
            raise LedgerEnded("the ledger is closed: personad is stopping")
        if self._unresolved >= QUEUE:
            raise LedgerBusy(f"{QUEUE} operations already wait for the disk: try again shortly")
        self._unresolved += 1
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put((operation, arguments, future))
        return future

    async def close(self) -> None:
        """Finish the queued operations and close the connection."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        await asyncio.shield(self._ended)

    @abstractmethod
    def execute(self, batch: list[Task]) -> list[Outcome]:
        """Run a batch on the thread and return the outcome of each task."""

    def next_task(self) -> Task | None:
        """Wait on the thread for the next task; None when no more will come."""
        return self._queue.get()

    @abstractmethod
    def finish(self) -> None:
        """Do on the thread what is left, after the last task and before the connection is closed."""

    def failed(self, task: Task, error: Exception) -> Outcome:
        """Return the outcome of a task that raised."""
        if isinstance(error, sqlite3.Error):
            error = explain(error, self._path)
        if isinstance(error, LedgerDamaged):
            self._damage.broken = str(error)
        return (task[2], None, error)

    def _run(self) -> None:
        try:
            last = False
            while not last:
                self._batch, last = self._take()
                if self._batch:
                    self._loop.call_soon_threadsafe(self._resolve, self.execute(self._batch))
            self._batch = []
            self.finish()
        finally:
            try:
                self._connection.close()
            finally:
                self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        """The thread is gone. If it failed, nothing that it had in hand or in its queue may wait for it for ever."""
        self._closing = True
        lost = [future for _, _, future in self._batch]
        while not self._queue.empty():
            if task := self._queue.get():
                lost.append(task[2])
        for future in lost:
            if not future.done():
                future.set_exception(LedgerEnded("the ledger's thread has failed: personad starts again"))
        self._ended.set_result(None)

    def _take(self) -> tuple[list[Task], bool]:
        """Wait for a task and take those queued behind it; the second value is True when no more will come."""
        batch: list[Task] = []
        while not batch or (len(batch) < BATCH and not self._queue.empty()):
            task = self.next_task()
            if task is None:
                return batch, True
            batch.append(task)
        return batch, False

    def _resolve(self, outcomes: list[Outcome]) -> None:
        self._unresolved -= len(outcomes)
        for future, result, error in outcomes:
            if future.done():
                continue  # The caller was cancelled.
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)


class Reader(ConnectionThread):
    """Runs each operation separately; every statement sees all earlier commits."""

    def execute(self, batch: list[Task]) -> list[Outcome]:
        """Run each task. If one raises, only that one fails."""
        return [self._read(task) for task in batch]

    def finish(self) -> None:
        """Leave nothing: a reader has changed nothing."""

    def _read(self, task: Task) -> Outcome:
        operation, arguments, future = task
        try:
            return (future, operation(self._connection, *arguments), None)
        except Exception as error:  # noqa: BLE001 (the caller who awaits the future gets it)
            if not is_undecodable(error):
                return self.failed(task, error)
        try:
            with self._damage.read_around(self._connection):
                return (future, operation(self._connection, *arguments), None)
        except Exception as error:  # noqa: BLE001 (as above)
            return self.failed(task, error)
