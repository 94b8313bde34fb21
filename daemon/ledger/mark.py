"""How far the ledger has come, kept in a file of its own: a ledger that ends earlier is not the one that it was.

SQLite takes a file that is missing, is empty, or has lost its write-ahead log for a whole database
(https://www.sqlite.org/howtocorrupt.html#_unlinking_or_renaming_a_database_file_while_in_use). Only something outside
it can tell. The mark lies with the personas, because backups that leave out the log usually keep their folder.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

import msgspec

LARGEST: Final = 4096
"""Bytes that a mark may have; it has less than a hundred."""


class Reach(msgspec.Struct, frozen=True):
    """The largest number that each table has ever given to a row. Deleting rows does not lower them."""

    inbox: int = 0
    conversation: int = 0
    outbox: int = 0

    def behind(self, other: Reach) -> bool:
        """Return whether ``other`` has had rows that came after the last one here."""
        return self.inbox < other.inbox or self.conversation < other.conversation or self.outbox < other.outbox


def reach(connection: sqlite3.Connection) -> Reach:
    """Return how far this ledger has come; a file without tables is at its beginning."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'").fetchone():
        return Reach()
    known = dict(connection.execute("SELECT name, seq FROM sqlite_sequence"))
    return Reach(*(known.get(table, 0) for table in Reach.__struct_fields__))


class Mark:
    """The file with the mark.

    It is written after the commits that it tells of, which are on the disk, so it is never ahead of a sound ledger.
    It may be behind, and is therefore not synced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Reach | None:
        """Return the mark, or None when there is none. A mark that cannot be read counts as one of an empty ledger."""
        try:
            with self.path.open("rb") as file:
                return msgspec.json.decode(file.read(LARGEST), type=Reach)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return Reach()

    def write(self, reached: Reach) -> None:
        """Replace the mark. Raise OSError, and keep the old one, when the disk does not take it."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self.path.with_name(f"{self.path.name}.new")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(reached))
            temporary.rename(self.path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def remove(self) -> None:
        """Forget how far the ledger had come."""
        self.path.unlink(missing_ok=True)
