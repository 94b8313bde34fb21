"""Read a SQLite file page by page, for rows that SQLite does not find because a page on the way to them is damaged.

The format is https://www.sqlite.org/fileformat2.html; sections are named where they are used. Every number in a
file may be damaged, so each is checked before it is used.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

import msgspec

INNER_INDEX: Final = 2
INNER_TABLE: Final = 5
LEAF_INDEX: Final = 10
LEAF_TABLE: Final = 13
INNER: Final = (INNER_INDEX, INNER_TABLE)
OF_TABLE: Final = frozenset({INNER_TABLE, LEAF_TABLE})
OF_INDEX: Final = frozenset({INNER_INDEX, LEAF_INDEX})
"""The types of pages in a b-tree of a table with rowids, and in one of an index or a table without (section 1.6)."""

LARGEST_ROW: Final = 1 << 28
"""Bytes of one row; a damaged length must not fill the memory."""

Value: TypeAlias = int | float | str | bytes | None


class Unreadable(Exception):
    """The page or the row breaks the format."""


class Row(msgspec.Struct, frozen=True):
    """A row as it is stored; ``rowid`` is None in a b-tree without rowids."""

    rowid: int | None
    values: tuple[Value, ...]


class Tree(msgspec.Struct, frozen=True):
    """The pages of a b-tree that can be reached from its root, and whether all of them can."""

    pages: list[int]
    whole: bool


class Pages:
    """A database file without a write-ahead log. Pages are counted from 1."""

    def __init__(self, path: Path) -> None:
        """Open it. Raise OSError, and Unreadable when the header names no possible size of a page."""
        self._file: BinaryIO = path.open("rb")
        header = self._file.read(100)
        # Section 1.3: 1 stands for 65,536.
        size = int.from_bytes(header[16:18], "big") if len(header) == 100 else 0
        self._size = 65_536 if size == 1 else size
        if self._size < 512 or self._size & (self._size - 1):
            self._file.close()
            raise Unreadable(f"{self._size} is no size of a page")
        self._usable = self._size - header[20]
        self.count = os.fstat(self._file.fileno()).st_size // self._size

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def kind(self, number: int) -> int:
        """Return the type of a page of a b-tree; any other page has none of the four."""
        return self._page(number)[100 if number == 1 else 0]

    def tree(self, root: int, kinds: frozenset[int]) -> Tree:
        """Follow a b-tree from its root as far as its pages are sound."""
        found: dict[int, None] = {}
        whole, left = True, [root]
        while left:
            number = left.pop()
            try:
                if number in found or self.kind(number) not in kinds:
                    whole = False
                    continue
                children = self._children(number)
            except Unreadable:
                whole = False
                continue
            found[number] = None
            left.extend(reversed(children))
        return Tree(list(found), whole)

    def free(self) -> set[int]:
        """Return the pages that hold nothing (section 1.5): what stands on them was deleted."""
        found: set[int] = set()
        trunk = int.from_bytes(self._page(1)[32:36], "big")
        while 0 < trunk <= self.count and trunk not in found:
            found.add(trunk)
            page = self._page(trunk)
            following, leaves = struct.unpack_from(">II", page)
            leaves = min(leaves, self._usable // 4 - 2)
            found.update(struct.unpack_from(f">{leaves}I", page, 8))
            trunk = following
        return found

    def rows(self, number: int) -> Iterator[Row | None]:
        """Yield what a page holds, and None for each row that cannot be read. Raise Unreadable for a damaged page."""
        page, kind, cells = self._cells(number)
        if kind == INNER_TABLE:
            return
        for at in cells:
            try:
                yield self._row(page, at + 4 if kind == INNER_INDEX else at, with_rowid=kind == LEAF_TABLE)
            except Unreadable:
                yield None

    def _page(self, number: int) -> bytes:
        if not 0 < number <= self.count:
            raise Unreadable(f"there is no page {number}")
        self._file.seek((number - 1) * self._size)
        return self._file.read(self._size)

    def _cells(self, number: int) -> tuple[bytes, int, tuple[int, ...]]:
        """Return the page, its type and where its cells begin (section 1.6)."""
        page = self._page(number)
        start = 100 if number == 1 else 0
        kind = page[start]
        if kind not in OF_TABLE | OF_INDEX:
            raise Unreadable(f"page {number} is of no b-tree")
        first = start + (12 if kind in INNER else 8)
        cells = int.from_bytes(page[start + 3 : start + 5], "big")
        if first + 2 * cells > self._usable:
            raise Unreadable(f"page {number} cannot have {cells} cells")
        return page, kind, struct.unpack_from(f">{cells}H", page, first)

    def _children(self, number: int) -> list[int]:
        page, kind, cells = self._cells(number)
        if kind not in INNER:
            return []
        last = 108 if number == 1 else 8
        if any(at + 4 > self._usable for at in cells):
            raise Unreadable(f"page {number} has a cell outside itself")
        return [int.from_bytes(page[at : at + 4], "big") for at in (*cells, last)]

    def _row(self, page: bytes, at: int, *, with_rowid: bool) -> Row:
        length, at = _varint(page, at)
        rowid = None
        if with_rowid:
            rowid, at = _varint(page, at)
            rowid -= (rowid >> 63) << 64
        return Row(rowid, record(self._payload(page, at, length, with_rowid=with_rowid)))

    def _payload(self, page: bytes, at: int, length: int, *, with_rowid: bool) -> bytes:
        """Gather a row from its page and its overflow pages (section 1.6, "Cell Payload Overflow Pages")."""
        usable = self._usable
        if length > min(LARGEST_ROW, self.count * usable):
            raise Unreadable(f"a row of {length} bytes")
        most = usable - 35 if with_rowid else (usable - 12) * 64 // 255 - 23
        here = length
        if length > most:
            least = (usable - 12) * 32 // 255 - 23
            here = least + (length - least) % (usable - 4)
            here = here if here <= most else least
        if at + here + (4 if here < length else 0) > usable:
            raise Unreadable("a row outside its page")
        parts, left = [page[at : at + here]], length - here
        following = int.from_bytes(page[at + here : at + here + 4], "big")
        while left > 0:
            page = self._page(following)
            following = int.from_bytes(page[:4], "big")
            parts.append(page[4 : 4 + min(left, usable - 4)])
            left -= usable - 4
        return b"".join(parts)


def record(data: bytes) -> tuple[Value, ...]:
    """Decode a row (section 2.1); bytes that are no text become U+FFFD. Raise Unreadable."""
    end, at = _varint(data, 0)
    body = end
    values = []
    while at < end:
        kind, at = _varint(data, at)
        size = _SIZES[kind] if kind < len(_SIZES) else (kind - 12) // 2
        if size < 0 or body + size > len(data):
            raise Unreadable(f"a value of type {kind}")
        values.append(_value(kind, data[body : body + size]))
        body += size
    if at != end or body != len(data):
        raise Unreadable("a row that is longer than its values")
    return tuple(values)


_SIZES: Final = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, -1, -1)


def _value(kind: int, raw: bytes) -> Value:
    if kind == 0:
        return None
    if kind <= 6:
        return int.from_bytes(raw, "big", signed=True)
    if kind == 7:
        number: float = struct.unpack(">d", raw)[0]
        return number
    if kind <= 9:
        return kind - 8
    return raw.decode(errors="replace") if kind % 2 else raw


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return an unsigned number of at most 9 bytes and where it ends (section 1.6, "varint"). Raise Unreadable."""
    number = 0
    for count in range(9):
        if at >= len(data):
            raise Unreadable("a number that does not end")
        byte = data[at]
        at += 1
        if count == 8:
            return number << 8 | byte, at
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return number, at
