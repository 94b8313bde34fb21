"""How the ledger's file is opened, and how a file of an older version gets today's tables."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from daemon.ledger.errors import LedgerError, explain
from daemon.ledger.migrations import MIGRATIONS

BUSY_TIMEOUT: Final = 5.0
"""Seconds to wait for another program that holds the database, such as an sqlite3 shell."""

CHECKPOINT: Final = 2000
"""Pages in the write-ahead log that start a checkpoint: 8 MB, so that few commits pay for one."""

CACHE: Final = 256
"""KiB of pages that a connection keeps: the hot pages are few, and the system caches the file anyway."""


def open_writer(path: Path) -> sqlite3.Connection:
    """Make or migrate the file, private to its owner, and return the writing connection.

    Raise LedgerError for a file that cannot be opened, is no ledger or is newer than this code, LedgerFull for a disk
    that does not take it.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives -wal and -shm the mode of the database, which so must be private before it is first opened.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        for suffix in ("", "-wal", "-shm"):
            if (file := Path(f"{path}{suffix}")).exists():
                file.chmod(0o600)
    except OSError as error:
        raise LedgerError(f"the ledger {path} cannot be opened: {error.strerror}; check its folder's owner") from error
    connection = _connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{CACHE}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
        # A burst or a long reader may grow the log; afterwards it gives the space back.
        connection.execute(f"PRAGMA journal_size_limit = {4 * 4096 * CHECKPOINT}")
        # What was forgotten is overwritten, not only unlinked. Before the migration, which drops columns and tables.
        connection.execute("PRAGMA secure_delete = ON")
        migrate(connection, MIGRATIONS)
    except sqlite3.Error as error:
        connection.close()
        raise explain(error, path) from error
    except LedgerError:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, to a file that ``open_writer`` made."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{CACHE}")
    return connection


def migrate(connection: sqlite3.Connection, steps: Sequence[str]) -> None:
    """Run the steps that ``PRAGMA user_version`` has not counted, each whole or not at all.

    Raise LedgerError when the file has seen more steps than there are.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(steps):
        raise LedgerError(
            f"the ledger is of version {version}, this personad knows up to {len(steps)}: "
            "run the newer personad that wrote it, or restore an older backup"
        )
    for number, step in enumerate(steps[version:], start=version + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {step}; PRAGMA user_version = {number}; COMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _connect(path: Path) -> sqlite3.Connection:
    # Opened on one thread and then used by one other; isolation_level None leaves transactions to the writer.
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
