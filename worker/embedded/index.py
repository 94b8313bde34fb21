"""The index of a library: one SQLite database, a cache that can be rebuilt from the documents at any time."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from worker.embedded.passages import Passage

LAYOUT: Final = 1
"""The version of the layout. A database with another one is rebuilt."""

SCHEMA: Final = """
CREATE TABLE document (
    id INTEGER PRIMARY KEY,
    folder TEXT NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    title TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'begun',
    attempts INTEGER NOT NULL DEFAULT 1,
    told TEXT NOT NULL DEFAULT '',
    first INTEGER NOT NULL DEFAULT 0,
    last INTEGER NOT NULL DEFAULT -1,
    UNIQUE (folder, name)
) STRICT;
CREATE VIRTUAL TABLE passage USING fts5 (
    text, place, document UNINDEXED, tokenize = 'porter unicode61 remove_diacritics 2'
);
"""
"""``first`` to ``last`` are the rowids of a document's passages. ``told`` is its summary, or why it could not be read.

The search uses SQLite's FTS5 (https://sqlite.org/fts5.html).
"""

WAIT: Final = 10.0
CACHE: Final = "-8000"
"""Kibibytes of pages in memory (https://sqlite.org/pragma.html#pragma_cache_size); a large document's go to disk."""

CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
BROKEN: Final = ".broken"


class Key(NamedTuple):
    """A version of a file. A different size or modification time means a different version."""

    folder: str
    name: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Key:
        """Return the key of a file. Raises OSError when it cannot be examined."""
        status = path.stat()
        return cls(os.path.realpath(path.parent), path.name, status.st_size, status.st_mtime_ns)


class Document(NamedTuple):
    """A row: a document that was ``studied``, is ignored as ``faulty``, or was ``begun`` but not finished."""

    id: int
    key: Key
    title: str
    state: Literal["begun", "studied", "faulty"]
    attempts: int
    told: str


class Found(NamedTuple):
    """A matching passage. A higher ``score`` (BM25) is a better match."""

    document: int
    title: str
    place: str
    text: str
    score: float


class Index:
    """An open index. Every method may raise sqlite3.Error when the database cannot be used."""

    def __init__(self, path: Path) -> None:
        """Open the database at ``path``, or create it with mode 0600. Raises OSError when that fails."""
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(file, 0o600)
        finally:
            os.close(file)
        self._database = sqlite3.connect(path, timeout=WAIT, isolation_level=None)
        try:
            self._database.execute(f"PRAGMA cache_size = {CACHE}")
            # No other folder than the index's own may be written to.
            self._database.execute("PRAGMA temp_store = MEMORY")
            if self._layout() != LAYOUT:
                self._make()
        except sqlite3.Error:
            self.close()
            raise

    def close(self) -> None:
        """Close the database. Uncommitted changes are lost."""
        self._database.close()

    def documents(self) -> list[Document]:
        """Return all documents in the index."""
        rows = self._database.execute(
            "SELECT id, folder, name, size, mtime_ns, title, state, attempts, told FROM document"
        )
        return [Document(row[0], Key(*row[1:5]), *row[5:]) for row in rows]

    def document(self, key: Key) -> Document | None:
        """Return the document for this version of a file, or None."""
        return next((one for one in self.documents() if one.key == key), None)

    def begin(self, key: Key, title: str) -> int:
        """Record that a document is about to be studied, replacing its earlier version, and return its id."""
        with self.transaction():
            same = self.document(key)
            attempts = same.attempts + 1 if same else 1
            for old in self.documents():
                if (old.key.folder, old.key.name) == (key.folder, key.name):
                    self._forget(old.id)
            made = self._database.execute(
                "INSERT INTO document (folder, name, size, mtime_ns, title, attempts) VALUES (?, ?, ?, ?, ?, ?)",
                (*key, title, attempts),
            )
            return int(made.lastrowid or 0)

    def add(self, document: int, passage: Passage) -> int:
        """Add a passage within a transaction, and return its rowid."""
        row = (passage.text, passage.place, document)
        made = self._database.execute("INSERT INTO passage (text, place, document) VALUES (?, ?, ?)", row)
        return int(made.lastrowid or 0)

    def finish(self, document: int, told: str, first: int, last: int) -> None:
        """Record that a document was studied. Its passages have the rowids from ``first`` to ``last``."""
        self._database.execute(
            "UPDATE document SET state = 'studied', told = ?, first = ?, last = ? WHERE id = ?",
            (told, first, last, document),
        )

    def fail(self, document: int, reason: str) -> None:
        """Record why a document cannot be read. This version of it is ignored from then on."""
        self._database.execute("UPDATE document SET state = 'faulty', told = ? WHERE id = ?", (reason, document))

    def rename(self, document: int, title: str) -> None:
        """Give a document another title."""
        self._database.execute("UPDATE document SET title = ? WHERE id = ?", (title, document))

    def forget(self, document: int) -> None:
        """Delete a document and its passages."""
        with self.transaction():
            self._forget(document)

    def find(self, match: str, folders: Collection[str], most: int) -> list[Found]:
        """Return the best matching passages from ``folders``; ``match`` is an FTS5 expression."""
        rows = self._database.execute(
            f"""
            WITH best AS MATERIALIZED (
                SELECT passage.rowid AS number, document.id, title, bm25(passage, 1.0, 0.5) AS score
                FROM passage JOIN document ON document.id = passage.document
                WHERE passage MATCH ? AND state = 'studied' AND folder IN ({", ".join("?" * len(folders))})
                ORDER BY score LIMIT ?
            )
            SELECT best.id, best.title, place, text, -score FROM best JOIN passage ON passage.rowid = number
            ORDER BY score, number
            """,  # noqa: S608 (question marks only)
            (match, *folders, most),
        )
        return [Found(*row) for row in rows]

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything in the body, or nothing if it raises."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        finally:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")

    def _forget(self, document: int) -> None:
        self._database.execute(
            "DELETE FROM passage WHERE rowid BETWEEN (SELECT first FROM document WHERE id = ?1) "
            "AND (SELECT last FROM document WHERE id = ?1)",
            (document,),
        )
        self._database.execute("DELETE FROM document WHERE id = ?", (document,))

    def _layout(self) -> int:
        return int(self._database.execute("PRAGMA user_version").fetchone()[0])

    def _make(self) -> None:
        with self.transaction():
            if self._layout() == LAYOUT:
                return
            for table in ("passage", "document"):
                self._database.execute(f"DROP TABLE IF EXISTS {table}")
            for statement in SCHEMA.split(";\n"):
                self._database.execute(statement)
            self._database.execute(f"PRAGMA user_version = {LAYOUT}")


def is_corrupt(error: sqlite3.Error) -> bool:
    """Return whether the error comes from a corrupt file rather than from the disk or the query."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in CORRUPT


def set_aside(path: Path) -> None:
    """Move a corrupt database aside, replacing one that was moved earlier. Raises OSError when that fails."""
    path.replace(path.with_name(path.name + BROKEN))
    for suffix in ("-journal", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
