"""Rows that SQLite cannot reach: read from all sound pages of a table, also from those that no sound page points to.

A b-tree with a damaged page has lost the way to all pages below it. They still stand in the file, without the name of
their table. Each belongs to the incomplete table that takes its rows: all tables are STRICT, so few take another's
(the idea is that of SQLite's own recovery, https://www.sqlite.org/recovery.html).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

import msgspec

from daemon.ledger.pages import LEAF_TABLE, OF_INDEX, OF_TABLE, Pages, Row, Tree, Unreadable, Value

TRIED: Final = 50
"""Rows of a page that are tried on a table to see whose they are."""

STORED: Final[Mapping[str, type | tuple[type, ...]]] = {
    "INTEGER": int,
    "TEXT": str,
    "REAL": (float, int),
    "BLOB": bytes,
}
"""What a STRICT table stores in a column of each type (https://www.sqlite.org/stricttables.html)."""


class Shape(msgspec.Struct, frozen=True):
    """How a table's rows are stored.

    ``columns`` stand in the order of the file, ``kinds`` are their declared types; ``alias`` is the place of the one
    that is the rowid, if there is one.
    """

    name: str
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    alias: int | None
    by_rowid: bool

    def insert(self, row: Row) -> tuple[str, tuple[Value, ...]] | None:
        """Return the statement that adds this row, or None when no row of this table looks like it.

        A row is as short as its table was when it was written; newer columns get their default
        (https://www.sqlite.org/fileformat2.html#representation_of_sql_tables).
        """
        values = list(row.values)
        if not 0 < len(values) <= len(self.columns) or (row.rowid is None) == self.by_rowid:
            return None
        # An insert would turn the text of a number into one, so rows of another table could seem to fit.
        if not all(
            value is None or isinstance(value, STORED.get(kind, object))
            for value, kind in zip(values, self.kinds, strict=False)
        ):
            return None
        if self.alias is not None:
            if len(values) <= self.alias or values[self.alias] is not None:
                return None
            values[self.alias] = row.rowid
        return insertion(self.name, self.columns[: len(values)]), tuple(values)


def insertion(table: str, columns: tuple[str, ...]) -> str:
    """Return the statement that adds a row."""
    listed = ", ".join(f'"{name}"' for name in columns)
    return f'INSERT INTO "{table}" ({listed}) VALUES ({", ".join("?" * len(columns))})'  # noqa: S608 (names from the schema)


def shape(connection: sqlite3.Connection, table: str) -> Shape:
    """Read a table's shape from the schema."""
    columns = connection.execute(
        "SELECT cid, name, type, pk FROM pragma_table_info(?) ORDER BY cid", (table,)
    ).fetchall()
    without_rowid = connection.execute(
        "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", (table,)
    ).fetchone()[0]
    if without_rowid:
        # The key's columns come first (https://www.sqlite.org/fileformat2.html#representation_of_without_rowid_tables).
        order = connection.execute(
            "SELECT cid FROM pragma_index_xinfo((SELECT name FROM pragma_index_list(?) WHERE origin = 'pk'))"
            " ORDER BY seqno",
            (table,),
        )
        stored = [columns[cid] for (cid,) in order]
        return Shape(table, _names(stored), _types(stored), None, by_rowid=False)
    keys = [(cid, kind) for cid, _, kind, pk in columns if pk]
    alias = keys[0][0] if len(keys) == 1 and keys[0][1] == "INTEGER" else None
    return Shape(table, _names(columns), _types(columns), alias, by_rowid=True)


def _names(columns: list[tuple[int, str, str, int]]) -> tuple[str, ...]:
    return tuple(name for _, name, _, _ in columns)


def _types(columns: list[tuple[int, str, str, int]]) -> tuple[str, ...]:
    return tuple(kind for _, _, kind, _ in columns)


class LostRows:
    """The rows of the tables of one damaged file, ``pages``; ``target`` is the new ledger with empty tables."""

    def __init__(self, pages: Pages, source: sqlite3.Connection, target: sqlite3.Connection, tables: list[str]) -> None:
        """Follow every b-tree that the file's list of tables names, as far as that list can be read."""
        self._pages = pages
        self._target = target
        self.shapes = {table: shape(target, table) for table in tables}
        self._trees = {name: pages.tree(root, self._kinds(kind, name)) for kind, name, root in _roots(source)}
        self._incomplete_indexes = [self._width(name) for name in _indexes(target) if not self._tree(name).whole]
        known = {1, *pages.tree(1, OF_TABLE).pages, *pages.free()}
        known.update(number for tree in self._trees.values() for number in tree.pages)
        self._orphans = self._assign(known)

    def of(self, table: str) -> Iterator[Row | None]:
        """Yield a table's rows, and None for each row or page that cannot be read."""
        tree = self._tree(table)
        if not tree.whole:
            yield None
        for number in [*tree.pages, *self._orphans.get(table, ())]:
            try:
                yield from self._pages.rows(number)
            except Unreadable:
                yield None

    def _tree(self, name: str) -> Tree:
        return self._trees.get(name, Tree([], whole=False))

    def _kinds(self, kind: str, name: str) -> frozenset[int]:
        by_rowid = kind == "table" and (name not in self.shapes or self.shapes[name].by_rowid)
        return OF_TABLE if by_rowid else OF_INDEX

    def _width(self, index: str) -> int:
        width: int = self._target.execute("SELECT count(*) FROM pragma_index_xinfo(?)", (index,)).fetchone()[0]
        return width

    def _assign(self, known: set[int]) -> dict[str, list[int]]:
        """Find whose the pages are that no tree has reached."""
        incomplete = [name for name in self.shapes if not self._tree(name).whole]
        found: dict[str, list[int]] = {}
        if not incomplete:
            return found
        for number in range(2, self._pages.count + 1):
            if number not in known and (table := self._table_of(number, incomplete)):
                found.setdefault(table, []).append(number)
        return found

    def _table_of(self, number: int, incomplete: list[str]) -> str | None:
        """Return the only table that takes most of a page's rows."""
        try:
            kind = self._pages.kind(number)
            if kind != LEAF_TABLE and kind not in OF_INDEX:
                return None
            rows = [row for row, _ in zip(self._pages.rows(number), range(TRIED), strict=False) if row]
        except Unreadable:
            return None
        if kind in OF_INDEX and any(len(row.values) in self._incomplete_indexes for row in rows):
            # It may be a page of an index, which is made again from the rows of its table.
            return None
        taken = {table: self._taken(self.shapes[table], rows) for table in incomplete}
        most = max(taken.values())
        best = [table for table, count in taken.items() if count == most]
        return best[0] if most and len(best) == 1 else None

    def _taken(self, of: Shape, rows: list[Row]) -> int:
        """Count the rows that this table takes, and leave it as it was."""
        taken = 0
        self._target.execute("SAVEPOINT tried")
        for row in rows:
            if adding := of.insert(row):
                try:
                    self._target.execute(*adding)
                    taken += 1
                except (sqlite3.IntegrityError, OverflowError):
                    continue
        self._target.execute("ROLLBACK TO tried")
        self._target.execute("RELEASE tried")
        return taken


def _roots(source: sqlite3.Connection) -> list[tuple[str, str, int]]:
    found = []
    with suppress(sqlite3.DatabaseError):
        for kind, name, root in source.execute("SELECT type, name, rootpage FROM sqlite_schema"):
            if isinstance(root, int) and root > 0:
                found.append((kind, name, root))
    return found


def _indexes(target: sqlite3.Connection) -> list[str]:
    """Return the indexes that have a b-tree of their own: the key of a table without rowids is the table."""
    rows = target.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND rootpage > 0")
    return [name for (name,) in rows]
