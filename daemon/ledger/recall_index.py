"""Each persona's full-text index: what was said between her and her owner, and what she was fed.

A line is added in the transaction that writes it. Lines of open channels and notices are never added, so a search of
the index cannot reach what visitors said. The index holds no text of its own (``content=''``,
https://www.sqlite.org/fts5.html#contentless_tables).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from daemon.ledger import meaning
from daemon.ledger.recall_words import indexed

STEP_LINES: Final = 500
"""Lines of one step in the background, so that others do not wait for long."""

PREFIX: Final = "recall_"

Row = tuple[int, str, str, str]
"""A line's id, its content, its file's title and what she perceived in the file."""


def name_of(connection: sqlite3.Connection, persona: str) -> str | None:
    """Return the name of her index, or None while she has none."""
    found = connection.execute("SELECT number FROM recall_index WHERE persona = ?", (persona,)).fetchone()
    return f"{PREFIX}{found[0]}" if found else None


def has_lines(connection: sqlite3.Connection, persona: str, count: int) -> bool:
    """Return whether so many lines are in her index."""
    name = name_of(connection, persona)
    if name is None:
        return False
    found = connection.execute(f"SELECT 1 FROM {name}_docsize LIMIT 1 OFFSET ?", (count - 1,)).fetchone()  # noqa: S608 (a name of ours)
    return found is not None


def said(connection: sqlite3.Connection, persona: str, lines: Iterable[int]) -> None:
    """Add these new lines of hers, unless they are notices or stand on an open channel."""
    rows = [
        row
        for line in lines
        for row in connection.execute(
            "SELECT id, content, title, perceived FROM conversation WHERE id = ? AND open = 0 AND notice = 0", (line,)
        )
    ]
    if rows:
        add(connection, persona, rows)


def add(connection: sqlite3.Connection, persona: str, rows: Sequence[Row]) -> None:
    """Add lines in ascending order of their ids. A fed line's id has a minus."""
    name = name_of(connection, persona) or _create(connection, persona, rows[0][0])
    connection.executemany(
        f"INSERT INTO {name} (rowid, words) VALUES (?, ?)",  # noqa: S608 (a name of ours)
        [(line, indexed(*texts)) for line, *texts in rows],
    )


def remove(connection: sqlite3.Connection, persona: str, rows: Iterable[Row]) -> None:
    """Take lines out again. Those that are not in the index yet are skipped."""
    name = name_of(connection, persona)
    if name is None:
        return
    for line, *texts in rows:
        meaning.remove(connection, persona, [line])
        if connection.execute(f"SELECT 1 FROM {name}_docsize WHERE id = ?", (line,)).fetchone():  # noqa: S608 (a name of ours)
            connection.execute(
                f"INSERT INTO {name} ({name}, rowid, words) VALUES ('delete', ?, ?)",  # noqa: S608 (a name of ours)
                (line, indexed(*texts)),
            )


def step(connection: sqlite3.Connection, persona: str) -> bool:
    """Add some of her older lines, the latest first; return False when there are none left."""
    found = connection.execute("SELECT below FROM recall_index WHERE persona = ?", (persona,)).fetchone()
    below: int = found[0] if found else _last(connection, persona) + 1
    if found is None:
        _create(connection, persona, below)
    rows = connection.execute(
        "SELECT id, content, title, perceived, notice FROM conversation"
        " WHERE persona = ? AND open = 0 AND id < ? ORDER BY id DESC LIMIT ?",
        (persona, below, STEP_LINES),
    ).fetchall()
    wanted: list[Row] = [
        (line, content, title, seen) for line, content, title, seen, notice in reversed(rows) if not notice
    ]
    if wanted:
        add(connection, persona, wanted)
    below = rows[-1][0] if len(rows) == STEP_LINES else 0
    connection.execute("UPDATE recall_index SET below = ? WHERE persona = ?", (below, persona))
    return below > 0


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Drop her index. Its pages are overwritten, as all that is deleted here (``secure_delete``)."""
    if name := name_of(connection, persona):
        connection.execute(f"DROP TABLE {name}")
        connection.execute("DELETE FROM recall_index WHERE persona = ?", (persona,))
    meaning.forget(connection, persona)


def _last(connection: sqlite3.Connection, persona: str) -> int:
    """Return the id of her last line, 0 when there is none."""
    found: tuple[int] | None = connection.execute(
        "SELECT id FROM conversation WHERE persona = ? AND open = 0 ORDER BY id DESC LIMIT 1", (persona,)
    ).fetchone()
    return found[0] if found else 0


def _create(connection: sqlite3.Connection, persona: str, first: int) -> str:
    """Make her index; ``first`` is the first line that comes into it, a fed one's id with a minus."""
    below = first if first > 0 else _last(connection, persona) + 1
    number = connection.execute("INSERT INTO recall_index (persona, below) VALUES (?, ?)", (persona, below)).lastrowid
    name = f"{PREFIX}{number}"
    connection.execute(
        f"CREATE VIRTUAL TABLE {name} USING fts5"
        " (words, content = '', tokenize = 'porter unicode61 remove_diacritics 2')"
    )
    return name
