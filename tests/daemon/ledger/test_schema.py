"""The ledger's file: new, older, newer, foreign, and its permissions."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from daemon.ledger import Ledger, LedgerError
from daemon.ledger.migrations import MIGRATIONS
from daemon.ledger.schema import migrate, open_reader, open_writer
from proto.messages import Conversation

WEB = Conversation("web", "web")


def mode(path: Path) -> int:
    """Return the permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


async def test_only_the_owner_can_read_it(ledger: Ledger, path: Path) -> None:
    """The folder is 0700, and the database, its log, its index and its mark are 0600."""
    await ledger.accept("p", WEB, "text", "hello", None, 1, None)
    assert mode(path.parent) == 0o700
    assert {file.name: mode(file) for file in path.parent.iterdir()} == {
        "ledger.db": 0o600,
        "ledger.db-wal": 0o600,
        "ledger.db-shm": 0o600,
        "ledger.mark": 0o600,
    }


async def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    """A ledger with wider permissions gets its own again when it is opened."""
    path = tmp_path / "ledger.db"
    path.touch(mode=0o644)
    path.chmod(0o644)
    await (await Ledger.open(path)).close()
    assert mode(path) == 0o600


def test_an_older_file_gets_the_steps_that_it_lacks(tmp_path: Path) -> None:
    """Each step runs once, in order, and keeps earlier rows."""
    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    first, second = "CREATE TABLE t (a)", "ALTER TABLE t ADD COLUMN b DEFAULT 5; CREATE INDEX i ON t (b)"
    migrate(connection, [first])
    connection.execute("INSERT INTO t VALUES (1)")
    migrate(connection, [first, second])
    migrate(connection, [first, second])
    assert connection.execute("SELECT a, b FROM t").fetchall() == [(1, 5)]
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()


def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """Half a migration leaves nothing: neither its tables nor its version."""
    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, ["CREATE TABLE t (a); CREATE TABLE t (b)"])
    assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    connection.close()


PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,
    "secure_delete": 1,
    "busy_timeout": 5_000,
    "wal_autocheckpoint": 2_000,
    "journal_size_limit": 32_768_000,
    "cache_size": -256,
}
"""The writer's settings. ``synchronous`` 2 is FULL; in WAL mode a lower one loses commits at a power cut.

https://www.sqlite.org/pragma.html#pragma_synchronous
"""


def test_the_writer_is_durable(path: Path) -> None:
    """A commit is on the disk when it returns, deleted data is overwritten, and a lock is waited for."""
    connection = open_writer(path)
    found = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in PRAGMAS}
    connection.close()
    assert found == PRAGMAS


def test_no_step_leaves_a_foreign_key(path: Path) -> None:
    """SQLite only enforces foreign keys with ``PRAGMA foreign_keys``, so no table may rely on one."""
    connection = open_writer(path)
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    keys = [connection.execute("SELECT * FROM pragma_foreign_key_list(?)", name).fetchall() for name in tables]
    connection.close()
    assert not any(keys)


def test_the_reader_cannot_write(path: Path) -> None:
    """The reading connection refuses every change and waits for a lock like the writer."""
    open_writer(path).close()
    connection = open_reader(path)
    found = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("query_only", "busy_timeout")}
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM inbox")
    connection.close()
    assert found == {"query_only": 1, "busy_timeout": 5_000}


async def test_a_newer_file_is_refused_untouched(path: Path) -> None:
    """A database of a later personad is not opened, and the error says what to do."""
    await (await Ledger.open(path)).close()
    newer = len(MIGRATIONS) + 1
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA user_version = {newer}")
    connection.close()
    with pytest.raises(LedgerError, match=f"version {newer}.*run the newer personad"):
        await Ledger.open(path)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (newer,)
    connection.close()


async def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    """Another kind of file under the ledger's name is reported and left alone."""
    path = tmp_path / "ledger.db"
    path.write_bytes(b"a shopping list\n" * 100)
    with pytest.raises(LedgerError, match="is not a ledger, and cannot be repaired"):
        await Ledger.open(path)
    assert path.read_bytes() == b"a shopping list\n" * 100


async def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    """A state folder below a file is refused with its path."""
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match=r"file/ledger\.db cannot be opened"):
        await Ledger.open(tmp_path / "file" / "ledger.db")
