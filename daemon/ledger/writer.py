"""The only writer: all waiting operations are written in one transaction, so with one fsync."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from daemon.ledger.threads import ConnectionThread, Outcome, Task


class Writer(ConnectionThread):
    """Group commit: while one transaction goes to the disk, operations for the next one gather in the queue."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.commits = 0
        super().__init__("ledger-writer", path, connection)

    def execute(self, batch: list[Task]) -> list[Outcome]:
        """Write a batch in one transaction. If that fails, give each task its own, so that only the bad ones fail."""
        try:
            return self._transaction(batch)
        except Exception as error:  # noqa: BLE001 (the callers who await the futures get it)
            if len(batch) == 1:
                return [self.failed(batch[0], error)]
        return [outcome for task in batch for outcome in self.execute([task])]

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
