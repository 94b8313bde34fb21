"""What is damaged in the file: texts that are not UTF-8 are read with replacements, and anything worse is remembered.

SQLite keeps a text's bytes as they are (https://www.sqlite.org/datatype3.html), so one flipped bit makes a row that
cannot be decoded. Reading it again would always fail.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

MOST: Final = 100
"""Places that are remembered, and so reported once each."""

_TEXTS: Final = {
    "conversation": ("content", "perceived", "title", "name", "media", "chat"),
    "inbox": ("content", "title", "name", "media", "chat", "key"),
    "outbox": ("content", "name", "media", "chat", "last_error"),
}
"""The tables with what people say, and their columns of free text."""


class Damage:
    """What was found in one open ledger. ``report`` is called once for each place, on the thread that found it."""

    def __init__(self, report: Callable[[str], object]) -> None:
        self.broken = ""
        self.places: set[str] = set()
        self._report = report

    def found(self, place: str) -> None:
        """Remember a place, and report it the first time."""
        if place not in self.places and len(self.places) < MOST:
            self.places.add(place)
            self._report(place)

    @contextmanager
    def read_around(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Inside, bytes that are no UTF-8 read as U+FFFD; afterwards each row that has some is reported."""
        unreadable: set[bytes] = set()

        def decode(raw: bytes) -> str:
            try:
                return raw.decode()
            except UnicodeDecodeError:
                if len(unreadable) < MOST:
                    unreadable.add(raw)
                return raw.decode(errors="replace")

        connection.text_factory = decode
        try:
            yield
        finally:
            connection.text_factory = str
        for raw in unreadable:
            for place in _places(connection, raw):
                self.found(place)


def is_undecodable(error: Exception) -> bool:
    """Return whether this is Python's error for a text that is no UTF-8; it has no code of its own.

    https://github.com/python/cpython/blob/3.11/Modules/_sqlite/cursor.c (_pysqlite_fetch_one_row)
    """
    return isinstance(error, sqlite3.OperationalError) and str(error).startswith("Could not decode to UTF-8")


def undecodable_rows(connection: sqlite3.Connection) -> list[str]:
    """Read all texts of people and return the rows with bytes that are no UTF-8, such as "conversation 177"."""
    found = []
    connection.text_factory = bytes
    try:
        for table, columns in _TEXTS.items():
            for number, *texts in connection.execute(f"SELECT rowid, {', '.join(columns)} FROM {table}"):  # noqa: S608 (constants)
                if not all(_is_text(text) for text in texts):
                    found.append(f"{table} {number}")
                    if len(found) == MOST:
                        return found
    finally:
        connection.text_factory = str
    return found


def _is_text(raw: bytes | None) -> bool:
    try:
        return raw is None or raw.decode() is not None
    except (AttributeError, UnicodeDecodeError):
        return False


def _places(connection: sqlite3.Connection, raw: bytes) -> Iterator[str]:
    """Find the rows that hold these bytes: a scan, once for each text that is damaged."""
    for table, columns in _TEXTS.items():
        which = " OR ".join(f"CAST({column} AS BLOB) = ?1" for column in columns)
        for (number,) in connection.execute(f"SELECT rowid FROM {table} WHERE {which} LIMIT 10", (raw,)):  # noqa: S608 (constants)
            yield f"{table} {number}"
