"""Look at a ledger's file without changing it: how far it goes, and whether it is sound."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from daemon.ledger.damage import undecodable_rows
from daemon.ledger.errors import LedgerUnreadable, explain
from daemon.ledger.mark import Reach, reach
from daemon.ledger.migrations import MIGRATIONS

MOST_FAULTS: Final = 5
"""Faults that are named; a damaged page can cause thousands.

https://www.sqlite.org/pragma.html#pragma_integrity_check
"""


class Inspection(msgspec.Struct, frozen=True):
    """What a file holds; ``version`` is 0 for one without tables, ``faults`` are SQLite's words.

    ``unreadable`` names the rows with bytes that are no text; they are read around. ``personas`` are those who have
    lines, as far as they can be read.
    """

    version: int
    reached: Reach
    faults: list[str] = []
    unreadable: list[str] = []
    personas: list[str] = []


def log_of(path: Path) -> Path:
    """Return the path of the ledger's write-ahead log."""
    return path.with_name(f"{path.name}-wal")


def left_uncleanly(path: Path) -> bool:
    """Return whether the last daemon did not close the ledger: closing it folds the log into the file."""
    log = log_of(path)
    return log.exists() and log.stat().st_size > 0


def inspect(path: Path, *, integrity: bool, texts: bool = False) -> Inspection | None:
    """Return what the file holds, or None when it is missing or has no bytes.

    ``integrity`` also checks every page, and ``texts`` what people said; both read the whole file. Raise LedgerError
    for a file that cannot be read.
    """
    if not path.exists() or path.stat().st_size == 0:
        return None
    try:
        with closing(open_unchanged(path)) as connection:
            version = readable_version(connection, path)
            reached = reach(connection)
            found = faults(connection) if integrity else []
            unreadable = undecodable_rows(connection) if texts and version == len(MIGRATIONS) and not found else []
            return Inspection(version, reached, found, unreadable, _personas(connection))
    except sqlite3.Error as error:
        raise explain(error, path) from error


def readable_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of the file's tables. Raise LedgerUnreadable when its head, and so nothing, can be read."""
    try:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise explain(error, path) from error
        raise LedgerUnreadable(path, str(error)) from error
    if version < 0:
        raise LedgerUnreadable(path, f"version {version}")
    return version


def _personas(connection: sqlite3.Connection) -> list[str]:
    """Jump from persona to persona along the index, whatever the number of lines.

    A damaged page is not this question's: what it hides is counted as not there.
    """
    step = "SELECT min(persona) FROM conversation"
    try:
        rows = connection.execute(
            f"WITH RECURSIVE one(id) AS ({step} UNION ALL SELECT ({step} WHERE persona > one.id) FROM one"  # noqa: S608 (a constant)
            " WHERE one.id IS NOT NULL) SELECT id FROM one WHERE id IS NOT NULL"
        )
        return [persona for (persona,) in rows]
    except sqlite3.DatabaseError:
        return []


def faults(connection: sqlite3.Connection) -> list[str]:
    """Return what ``PRAGMA quick_check`` finds; nothing for a sound file."""
    try:
        found = [text for (text,) in connection.execute(f"PRAGMA quick_check({MOST_FAULTS})")]
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_CORRUPT:
            raise
        return [str(error)]
    return [] if found == ["ok"] else [line for text in found for line in text.splitlines()][:MOST_FAULTS]


def open_unchanged(path: Path) -> sqlite3.Connection:
    """Return a connection that changes neither the file nor its log, not even when it is closed.

    Without a log the file is read as it is, so that SQLite makes no log and no index of one beside it
    (https://www.sqlite.org/uri.html#uriimmutable).
    """
    how = "mode=ro" if log_of(path).exists() else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, isolation_level=None)
    connection.text_factory = lambda raw: raw.decode(errors="replace")
    # So that a file without its last pages, or with a damaged list of tables, is read as far as it goes
    # (https://www.sqlite.org/pragma.html#pragma_writable_schema). The connection cannot write.
    connection.execute("PRAGMA writable_schema = ON")
    return connection
