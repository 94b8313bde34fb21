"""Ledgers of earlier versions, rebuilt from their dumps."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parents[2] / "fixtures" / "ledgers"
VERSIONS: Final = (*range(1, 9), 12, 14)
NOW: Final = 1_793_600_000_000_000_000
"""Epoch nanoseconds, a day after the dumps' latest time."""

ADA: Final = "5c1f0c1e-6a5b-4c55-9d8e-0000000000a1"
BOB: Final = "5c1f0c1e-6a5b-4c55-9d8e-0000000000b2"
TELEGRAM: Final = "7e1e000000000001"
DISCORD: Final = "d15c000000000002"
REMOVED: Final = "01d0000000000004"
OPEN: Final = "7e1e0000000000a5"
SMS: Final = "5a50000000000006"
WHATSAPP: Final = "3a3a000000000007"
SLACK: Final = "51ac000000000008"

Row = dict[str, Any]
"""A table's row by column. Any: whatever SQLite holds."""


def rebuild(version: int, path: Path) -> None:
    """Rebuild the file that this version left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with connected(path) as connection:
        connection.executescript((FOLDER / f"version-{version}.sql").read_text())


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a plain connection, like an sqlite3 shell."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def content(path: Path) -> dict[str, list[Row]]:
    """Return every row of every table, with AUTOINCREMENT's counters."""
    with connected(path) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: _rows(connection, name) for name in names}


def schema(path: Path) -> set[tuple[str, str, str]]:
    """Return the definition of each table, index and trigger, without spaces and quotes."""
    with connected(path) as connection:
        found = connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_schema").fetchall()
    return {(kind, name, " ".join(sql.replace('"', "").split())) for kind, name, sql in found}


def version(path: Path) -> int:
    """Return how many steps the file has run."""
    with connected(path) as connection:
        number: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return number


def _rows(connection: sqlite3.Connection, table: str) -> list[Row]:
    cursor = connection.execute(f'SELECT * FROM "{table}" ORDER BY 1, 2')  # noqa: S608 (a name from the schema)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
