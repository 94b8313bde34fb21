"""Salvage a damaged ledger: every row that can be read goes into a new file, and the damaged one is kept beside it.

A damaged page ends SQLite's scan of a table; such a table is read page by page (``daemon/ledger/lost_rows.py``).
Indexes are made again from the rows. Bytes that are no text become U+FFFD.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from daemon.ledger.errors import LedgerDamaged, LedgerUnreadable, too_new
from daemon.ledger.inspection import log_of, open_unchanged, readable_version
from daemon.ledger.lost_rows import LostRows, Shape, insertion, shape
from daemon.ledger.mark import Mark, Reach
from daemon.ledger.migrations import MIGRATIONS
from daemon.ledger.pages import Pages, Row
from daemon.ledger.schema import migrate, open_writer

REMADE: Final = ("recall_index", "meaning", "meaning_block")
"""Tables that only hold what is made from others."""

NOTE: Final = "note.json"
"""The end of the name of the file with a Note."""


class Repaired(msgspec.Struct, frozen=True):
    """What a repair did: rows by table that were kept, the tables that lost some, and where the old files lie."""

    kept: dict[str, int]
    short: list[str]
    old: list[Path]


class Note(msgspec.Struct, frozen=True):
    """What a file beside the damaged one tells of a repair that lost rows; ``old`` holds names."""

    kept: dict[str, int]
    short: list[str]
    old: list[str]


def repair(path: Path, mark: Mark | None = None) -> Repaired:
    """Replace the ledger by what can be read of it. No daemon may use it.

    ``mark`` tells the last numbers when the ledger's own counters cannot be read. Raise LedgerDamaged when not even the
    head of the file can be read, and OSError or sqlite3.Error when the new file cannot be written; the old one is then
    untouched.
    """
    fresh = path.with_name(f"{path.name}.repaired")
    _remove(fresh)
    try:
        with closing(open_unchanged(path)) as source:
            version = _version(source, path)
            with closing(sqlite3.connect(fresh, isolation_level=None)) as target:
                fresh.chmod(0o600)
                migrate(target, MIGRATIONS[:version])
                kept, short = _copy(source, target, fresh.with_name(f"{fresh.name}-pages"))
                _copy_counters(source, target, mark)
        open_writer(fresh).close()
    except BaseException:
        _remove(fresh)
        raise
    return _exchange(path, fresh, kept, short)


def gaps(folder: Path) -> dict[Path, list[str]]:
    """Return the notes of repairs that lost rows, with the tables that lost some; a damaged note names none.

    They go when somebody deletes them with the old files beside them.
    """
    found = {}
    for note in sorted(folder.glob(f"damaged-*-{NOTE}")):
        try:
            short = msgspec.json.decode(note.read_bytes(), type=Note).short
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            short = []
        found[note] = short
    return found


def _version(source: sqlite3.Connection, path: Path) -> int:
    version = readable_version(source, path)
    if version > len(MIGRATIONS):
        raise LedgerDamaged(too_new(path, version))
    if version == 0:
        raise LedgerUnreadable(path, "it has no tables")
    return version


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, scratch: Path) -> tuple[dict[str, int], list[str]]:
    """Copy all rows; return the numbers of rows, and the tables that lost some.

    ``scratch`` gets a copy of the pages if one of them is damaged.
    """
    # A fresh ledger has no index of words and no vectors yet: they are made again from the lines.
    names = target.execute(
        "SELECT name FROM pragma_table_list WHERE name NOT LIKE 'sqlite_%'"
        " AND name NOT IN (SELECT value FROM json_each(?))",
        (json.dumps(REMADE),),
    )
    tables = [name for (name,) in names]
    triggers = target.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    kept: dict[str, int] = {}
    damaged: list[str] = []
    target.execute("BEGIN")
    for name, _ in triggers:
        # The triggers counted these rows when they were first written.
        target.execute(f'DROP TRIGGER "{name}"')
    for table in tables:
        try:
            kept[table] = _copy_table(source, target, shape(target, table))
        except (sqlite3.DatabaseError, OverflowError):
            damaged.append(table)
    if damaged:
        with _lost_rows(source, target, tables, scratch) as lost:
            for table in damaged:
                kept[table] = _salvage(target, lost.shapes[table], lost.of(table))
    for _, sql in triggers:
        target.execute(sql)
    target.execute("COMMIT")
    return kept, damaged


def _copy_table(source: sqlite3.Connection, target: sqlite3.Connection, of: Shape) -> int:
    """Copy a table that is sound. Raise sqlite3.DatabaseError, and copy nothing, if it is not."""
    insert = insertion(of.name, of.columns)
    listed = ", ".join(f'"{name}"' for name in of.columns)
    order = "ORDER BY rowid" if of.by_rowid else ""
    target.execute("SAVEPOINT copied")
    try:
        rows = source.execute(f'SELECT {listed} FROM "{of.name}" NOT INDEXED {order}')  # noqa: S608 (names from the schema)
        count = target.executemany(insert, rows).rowcount
    except (sqlite3.DatabaseError, OverflowError):
        target.execute("ROLLBACK TO copied")
        raise
    finally:
        target.execute("RELEASE copied")
    return max(count, 0)


@contextmanager
def _lost_rows(
    source: sqlite3.Connection, target: sqlite3.Connection, tables: list[str], scratch: Path
) -> Iterator[LostRows]:
    """Read the file page by page, with what is in its log: the copy of a database holds both."""
    with closing(sqlite3.connect(scratch)) as copy:
        scratch.chmod(0o600)
        source.backup(copy)
    with closing(Pages(scratch)) as pages:
        yield LostRows(pages, source, target, tables)


def _salvage(target: sqlite3.Connection, of: Shape, rows: Iterator[Row | None]) -> int:
    """Add the rows that can be read and that the table takes; return how many."""
    kept = 0
    for row in rows:
        if row and (adding := of.insert(row)):
            # A page that the disk wrote to the wrong place repeats rows.
            with suppress(sqlite3.IntegrityError):
                target.execute(*adding)
                kept += 1
    return kept


def _copy_counters(source: sqlite3.Connection, target: sqlite3.Connection, mark: Mark | None) -> None:
    """Never give the number of a lost row to a new one."""
    try:
        counters = source.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
    except sqlite3.DatabaseError:
        known = mark.read() if mark else None
        counters = list(msgspec.structs.asdict(known or Reach()).items())
    for name, seq in counters:
        changed = target.execute("UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1", (name, seq))
        if not changed.rowcount:
            target.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, seq))


def _exchange(path: Path, fresh: Path, kept: dict[str, int], short: list[str]) -> Repaired:
    """Put the new file in place; the log goes first, since it must never lie beside a file of another ledger."""
    stamp = time.time_ns()
    old = []
    for part in (log_of(path), path.with_name(f"{path.name}-shm"), path):
        if part.exists():
            aside = part.with_name(f"damaged-{stamp}-{part.name}")
            part.rename(aside)
            old.append(aside)
    done = Repaired(kept, short, old)
    if short:
        note = Note(kept, short, [aside.name for aside in old])
        path.with_name(f"damaged-{stamp}-{NOTE}").write_bytes(msgspec.json.encode(note))
    fresh.rename(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return done


def _remove(path: Path) -> None:
    for part in path.parent.glob(f"{path.name}*"):
        part.unlink()
