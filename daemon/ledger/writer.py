"""The only writer: all waiting operations are written in one transaction, so with one fsync."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Final

from daemon.ledger.damage import Damage, is_undecodable
from daemon.ledger.mark import Mark, reach
from daemon.ledger.threads import ConnectionThread, Outcome, Task

MARK_EVERY: Final = 0.05
"""Seconds between two marks while messages come in; the last one follows when none has come for as long."""

FOLD_AFTER: Final = 30.0
"""Seconds of rest after which the write-ahead log is folded into the file, so that a copy of the file alone has it."""


class Writer(ConnectionThread):
    """Group commit: while one transaction goes to the disk, operations for the next one gather in the queue.

    Between transactions it keeps the mark, and at rest and at the end it folds the write-ahead log into the file.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, damage: Damage, mark: Mark) -> None:
        self.commits = 0
        self._mark = mark
        self._marked = -1
        self._marked_at = 0.0
        self._folded = 0
        super().__init__("ledger-writer", path, connection, damage)

    def execute(self, batch: list[Task]) -> list[Outcome]:
        """Write a batch in one transaction. If that fails, give each task its own, so that only the bad ones fail."""
        try:
            outcomes = self._transaction(batch)
        except Exception as error:  # noqa: BLE001 (the callers who await the futures get it)
            if len(batch) > 1:
                return [outcome for task in batch for outcome in self.execute([task])]
            return [self._once_more(batch[0]) if is_undecodable(error) else self.failed(batch[0], error)]
        if time.monotonic() - self._marked_at >= MARK_EVERY:
            self._write_mark()
        return outcomes

    def _once_more(self, task: Task) -> Outcome:
        """Run a task that read a damaged text again, around it."""
        try:
            with self._damage.read_around(self._connection):
                [outcome] = self._transaction([task])
        except Exception as error:  # noqa: BLE001 (the caller who awaits the future gets it)
            return self.failed(task, error)
        return outcome

    def next_task(self) -> Task | None:
        """Wait for a task. Meanwhile write the mark, and after a longer rest fold the log into the file."""
        with suppress(Empty):
            if self._marked != self.commits:
                return self._queue.get(timeout=MARK_EVERY)
        if self._marked != self.commits:
            self._write_mark()
        with suppress(Empty):
            if self._folded != self.commits:
                return self._queue.get(timeout=FOLD_AFTER)
        if self._folded != self.commits:
            self._fold("PASSIVE")
        return self._queue.get()

    def finish(self) -> None:
        """Leave everything in the file itself, also when another program has it open."""
        self._write_mark()
        self._fold("TRUNCATE")

    def _write_mark(self) -> None:
        # A disk that does not take the mark does not take messages either, and they say so.
        with suppress(OSError, sqlite3.Error):
            self._mark.write(reach(self._connection))
        self._marked, self._marked_at = self.commits, time.monotonic()

    def _fold(self, how: str) -> None:
        """Checkpoint (https://www.sqlite.org/pragma.html#pragma_wal_checkpoint); what a reader still needs stays."""
        with suppress(sqlite3.Error):
            self._connection.execute(f"PRAGMA wal_checkpoint({how})")
        self._folded = self.commits

    def _transaction(self, batch: list[Task]) -> list[Outcome]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            outcomes: list[Outcome] = [
                (future, operation(connection, *arguments), None) for operation, arguments, future in batch
            ]
            connection.execute("COMMIT")
        except BaseException:
            # After some disk errors SQLite has already rolled back (https://www.sqlite.org/lang_transaction.html).
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self.commits += 1
        return outcomes
