"""Salvage a damaged ledger: every row that can be read goes into a new file, and the damaged one is kept beside it.

A damaged page ends a scan, so each table is read from its beginning, and from its end back to where that scan stopped.
Indexes are made again from the rows. Bytes that are no text become U+FFFD.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from daemon.ledger.errors import LedgerDamaged
from daemon.ledger.inspection import log_of, open_unchanged
from daemon.ledger.migrations import MIGRATIONS
from daemon.ledger.schema import migrate, open_writer


class Repaired(msgspec.Struct, frozen=True):
    """What a repair did: rows by table that were kept, the tables that lost some, and where the old files lie."""

    kept: dict[str, int]
    short: list[str]
    old: list[Path]


def repair(path: Path) -> Repaired:
    """Replace the ledger by what can be read of it. No daemon may use it.

    Raise LedgerDamaged when not even its list of tables can be read, and OSError or sqlite3.Error when the new file
    cannot be written; the old one is then untouched.
    """
    fresh = path.with_name(f"{path.name}.repaired")
    _remove(fresh)
    try:
        with closing(open_unchanged(path)) as source:
            version = _version(source, path)
            with closing(sqlite3.connect(fresh, isolation_level=None)) as target:
                fresh.chmod(0o600)
                migrate(target, MIGRATIONS[:version])
                kept, short = _copy(source, target)
        open_writer(fresh).close()
    except BaseException:
        _remove(fresh)
        raise
    return Repaired(kept, short, _exchange(path, fresh))


def _version(source: sqlite3.Connection, path: Path) -> int:
    try:
        version: int = source.execute("PRAGMA user_version").fetchone()[0]
        tables = source.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise LedgerDamaged(f"{path} cannot be read at all ({error}): put a backup in its place") from error
    if not tables or not 0 < version <= len(MIGRATIONS):
        raise LedgerDamaged(f"{path} has no tables that this version knows: put a backup in its place")
    return version


def _copy(source: sqlite3.Connection, target: sqlite3.Connection) -> tuple[dict[str, int], list[str]]:
    """Copy all rows and the counters of AUTOINCREMENT; return the numbers of rows, and the tables that lost some."""
    tables = dict(target.execute("SELECT name, wr FROM pragma_table_list WHERE name NOT LIKE 'sqlite_%'").fetchall())
    triggers = target.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    kept: dict[str, int] = {}
    short: list[str] = []
    target.execute("BEGIN")
    for name, _ in triggers:
        # The triggers counted these rows when they were first written.
        target.execute(f'DROP TRIGGER "{name}"')
    for table, without_rowid in tables.items():
        kept[table], complete = _copy_table(source, target, table, by_rowid=not without_rowid)
        if not complete:
            short.append(table)
    _copy_counters(source, target)
    for _, sql in triggers:
        target.execute(sql)
    target.execute("COMMIT")
    return kept, short


def _copy_table(
    source: sqlite3.Connection, target: sqlite3.Connection, table: str, *, by_rowid: bool
) -> tuple[int, bool]:
    columns = [name for (name,) in target.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    listed = ", ".join(f'"{name}"' for name in columns)
    insert = f'INSERT INTO "{table}" ({listed}) VALUES ({", ".join("?" * len(columns))})'  # noqa: S608 (names from the schema)
    kept, complete = 0, True
    for row in _rows(source, table, listed, by_rowid=by_rowid):
        try:
            if row is None:
                complete = False
            else:
                target.execute(insert, row)
                kept += 1
        except sqlite3.IntegrityError:
            complete = False
    return kept, complete


def _rows(
    source: sqlite3.Connection, table: str, listed: str, *, by_rowid: bool
) -> Iterator[tuple[object, ...] | None]:
    """Yield a table's rows, and None for a gap."""
    last = None
    first = "rowid, " if by_rowid else ""
    order = "ORDER BY rowid" if by_rowid else ""
    try:
        for row in source.execute(f'SELECT {first}{listed} FROM "{table}" NOT INDEXED {order}'):  # noqa: S608 (as above)
            last = row[0]
            yield row[1:] if by_rowid else row
    except sqlite3.DatabaseError:
        yield None
        if not by_rowid:
            return
        with suppress(sqlite3.DatabaseError):
            for row in source.execute(
                f'SELECT rowid, {listed} FROM "{table}" NOT INDEXED WHERE rowid > ? ORDER BY rowid DESC',  # noqa: S608 (as above)
                (last if last is not None else -(2**63),),
            ):
                yield row[1:]


def _copy_counters(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Never give the number of a lost row to a new one."""
    with suppress(sqlite3.DatabaseError):
        for name, seq in source.execute("SELECT name, seq FROM sqlite_sequence").fetchall():
            changed = target.execute("UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1", (name, seq))
            if not changed.rowcount:
                target.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, seq))


def _exchange(path: Path, fresh: Path) -> list[Path]:
    """Put the new file in place; the log goes first, since it must never lie beside a file of another ledger."""
    stamp = time.time_ns()
    old = []
    for part in (log_of(path), path.with_name(f"{path.name}-shm"), path):
        if part.exists():
            kept = part.with_name(f"damaged-{stamp}-{part.name}")
            part.rename(kept)
            old.append(kept)
    fresh.rename(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return old


def _remove(path: Path) -> None:
    for part in path.parent.glob(f"{path.name}*"):
        part.unlink()
