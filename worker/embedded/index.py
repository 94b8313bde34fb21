"""The index of a library: one SQLite database, a cache that can be made anew out of the documents at any time."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from worker.embedded.passages import Passage

LAYOUT: Final = 1
"""A database of another layout is made anew."""

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
"""``first`` to ``last`` are the rowids of a document's passages; ``told`` says what it holds, or why it is unread."""

WAIT: Final = 10.0
CACHE: Final = "-8000"
"""Kilobytes of pages in memory; what a large document changes beyond goes to the disk."""

CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
BROKEN: Final = ".broken"


class Key(NamedTuple):
    """A version of a file: another size or time is another one."""

    folder: str
    name: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Key:
        """Look at a file. Raise OSError."""
        status = path.stat()
        return cls(os.path.realpath(path.parent), path.name, status.st_size, status.st_mtime_ns)


class Document(NamedTuple):
    """A row: a document that was studied, is left alone because it is ``faulty``, or was ``begun`` and not finished."""

    id: int
    key: Key
    title: str
    state: Literal["begun", "studied", "faulty"]
    attempts: int
    told: str


class Found(NamedTuple):
    """A passage that fits; a higher ``score`` (BM25) fits better."""

    document: int
    title: str
    place: str
    text: str
    score: float


class Index:
    """An open index. Every method may raise sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        """Open the database at ``path``, for the owner's eyes only, and make it when there is none. Raise OSError."""
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
        self._database = sqlite3.connect(path, timeout=WAIT, isolation_level=None)
        try:
            self._database.execute(f"PRAGMA cache_size = {CACHE}")
            if self._layout() != LAYOUT:
                self._make()
        except sqlite3.Error:
            self.close()
            raise

    def close(self) -> None:
        """Close it; what is not committed is gone."""
        self._database.close()

    def documents(self) -> list[Document]:
        """List everything in it."""
        rows = self._database.execute(
            "SELECT id, folder, name, size, mtime_ns, title, state, attempts, told FROM document"
        )
        return [Document(row[0], Key(*row[1:5]), *row[5:]) for row in rows]

    def document(self, key: Key) -> Document | None:
        """Find this version of a file."""
        return next((one for one in self.documents() if one.key == key), None)

    def begin(self, key: Key, title: str) -> int:
        """Write down that a document is about to be studied, in place of its earlier version; return its id."""
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
        """Add a passage inside a transaction; return its rowid."""
        row = (passage.text, passage.place, document)
        made = self._database.execute("INSERT INTO passage (text, place, document) VALUES (?, ?, ?)", row)
        return int(made.lastrowid or 0)

    def finish(self, document: int, told: str, first: int, last: int) -> None:
        """Write down that a document is studied; its passages have the rowids from ``first`` to ``last``."""
        self._database.execute(
            "UPDATE document SET state = 'studied', told = ?, first = ?, last = ? WHERE id = ?",
            (told, first, last, document),
        )

    def fail(self, document: int, reason: str) -> None:
        """Write down why a document cannot be read, so that this version of it is left alone from now on."""
        self._database.execute("UPDATE document SET state = 'faulty', told = ? WHERE id = ?", (reason, document))

    def rename(self, document: int, title: str) -> None:
        """Give a document another title."""
        self._database.execute("UPDATE document SET title = ? WHERE id = ?", (title, document))

    def forget(self, document: int) -> None:
        """Drop a document with its passages."""
        with self.transaction():
            self._forget(document)

    def find(self, match: str, folders: Collection[str], most: int) -> list[Found]:
        """Find the passages out of ``folders`` that fit best; ``match`` is an FTS5 expression."""
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
        """All of it, or nothing."""
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
    """Whether the file is to blame, and not the disk or the question."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in CORRUPT


def set_aside(path: Path) -> None:
    """Move a corrupt database out of the way, over one that was moved before. Raise OSError."""
    path.replace(path.with_name(path.name + BROKEN))
    for suffix in ("-journal", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
