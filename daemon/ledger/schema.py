"""Open the ledger's file and migrate an older one to today's tables."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from daemon.ledger.errors import LedgerError, LedgerFull, explain, may_pass
from daemon.ledger.migrations import MIGRATIONS
from daemon.ledger.paging import says

BUSY_TIMEOUT: Final = 5.0
"""Seconds to wait while another program, such as an sqlite3 shell, holds the database."""

CHECKPOINT: Final = 2000
"""Pages in the write-ahead log that start a checkpoint: 8 MB, so that few commits pay for one.

https://www.sqlite.org/pragma.html#pragma_wal_autocheckpoint
"""

CACHE: Final = 256
"""KiB of pages that a connection caches. Few pages are hot, and the system caches the file anyway.

https://www.sqlite.org/pragma.html#pragma_cache_size
"""


def open_writer(path: Path) -> sqlite3.Connection:
    """Create or migrate the file, private to its owner, and return the writing connection.

    Raise LedgerError for a file that cannot be opened, is not a ledger or is newer than this code, LedgerFull when the
    disk fails or is full.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives -wal and -shm the mode of the database, so that must be private before it is first opened
        # (findCreateFileMode in https://github.com/sqlite/sqlite/blob/master/src/os_unix.c).
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        for suffix in ("", "-wal", "-shm"):
            if (file := Path(f"{path}{suffix}")).exists():
                file.chmod(0o600)
    except OSError as error:
        kind = LedgerFull if may_pass(error) else LedgerError
        raise kind(f"the ledger {path} cannot be opened: {error.strerror}; check its disk and its owner") from error
    connection = _connect(path)
    try:
        # With NORMAL, a power cut could undo the last commits (https://www.sqlite.org/pragma.html#pragma_synchronous).
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{CACHE}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
        # A burst or a long reader can grow the log. This limit gives the space back afterwards
        # (https://www.sqlite.org/pragma.html#pragma_journal_size_limit).
        connection.execute(f"PRAGMA journal_size_limit = {4 * 4096 * CHECKPOINT}")
        # Overwrite deleted content with zeros (https://www.sqlite.org/pragma.html#pragma_secure_delete). This comes
        # before the migration, which drops columns and tables.
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
    """Return a connection that cannot write, to a file that ``open_writer`` made."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    connection.create_function("says", 4, says, deterministic=True)
    connection.execute(f"PRAGMA cache_size = -{CACHE}")
    return connection


def migrate(connection: sqlite3.Connection, steps: Sequence[str]) -> None:
    """Run the steps that the file has not run yet, each in one transaction.

    ``PRAGMA user_version`` counts them (https://www.sqlite.org/pragma.html#pragma_user_version). Raise LedgerError
    when the file has run more steps than there are.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(steps):
        raise LedgerError(
            f"the ledger has version {version}, but this personad only knows up to {len(steps)}: "
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
    # One thread opens the connection and another one uses it. isolation_level None leaves transactions to the writer.
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
