"""What lines mean, as vectors: a cache beside the index of words, made again for another model.

A vector has one signed byte for each of its numbers. Beside it stands its code, one bit for each number's sign. A block
holds the codes of many lines, the first byte of each, then the second byte of each, and so on: so one call of
``bytes.translate`` counts the bits by which a whole column differs from the question's code, and adding long integers
adds the columns. Only the vectors of the nearest lines are read. Lines of open channels, notices and what is too short
to mean anything have none.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Sequence
from operator import mul
from typing import Final

import msgspec

SIZE: Final = 384
"""Numbers of a vector."""

CODE: Final = SIZE // 8
BLOCK: Final = 2048
"""Codes of one block."""

MOST_LINES: Final = 64
"""Lines that get their vectors in one step."""

TEXT_CHARS: Final = 1_000
"""Characters of a line that count: more than the model reads."""

FEWEST_WORDS: Final = 3

LARGEST_HALF: Final = 82
"""Half of the bits of 384 by which a code may differ. Two random texts differ in 192; a cosine of 0.3 means 155."""

LEAST_COSINE: Final = 0.3
"""Below this, two texts have nothing to do with each other: measured with questions about what was never said."""

LENGTH: Final = 127
"""The length of a vector: the numbers of one of length 1, rounded to so many steps."""

CHOSEN: Final = 200
"""Codes whose vectors are read."""

Entry = tuple[int, bytes]
"""A line, a fed one's id with a minus, and its vector."""


class Batch(msgspec.Struct, frozen=True):
    """Lines that get their vectors together, with their texts, and the last line and fed line that were looked at."""

    lines: list[tuple[int, str]]
    meant: int
    fed: int


def wanted(connection: sqlite3.Connection, persona: str, model: str) -> Batch | None:
    """Return the next lines that have no vector by this model, None while there are too few to be worth it.

    The latest lines stand in every prompt anyway, so they can wait for others.
    """
    known = connection.execute(
        "SELECT meant, meant_fed, model FROM recall_index WHERE persona = ?", (persona,)
    ).fetchone()
    if known is None:
        return None
    meant, fed = known[:2] if known[2] == model else (0, 0)
    rows = connection.execute(
        "SELECT id, content, perceived, notice FROM conversation WHERE persona = ? AND open = 0 AND id > ?"
        " ORDER BY id LIMIT ?",
        (persona, meant, MOST_LINES),
    ).fetchall()
    more = connection.execute(
        "SELECT id, content FROM fed_line WHERE persona = ? AND id > ? ORDER BY id LIMIT ?",
        (persona, fed, MOST_LINES - len(rows)),
    ).fetchall()
    if len(rows) + len(more) < MOST_LINES:
        return None
    lines = [(id_, f"{content}\n{perceived}") for id_, content, perceived, notice in rows if not notice]
    lines += [(-id_, content) for id_, content in more]
    texts = [(id_, " ".join(text.split())[:TEXT_CHARS]) for id_, text in lines]
    told = [(id_, text) for id_, text in texts if len(text.split()) >= FEWEST_WORDS or not text.isascii()]
    return Batch(told, rows[-1][0] if rows else meant, more[-1][0] if more else fed)


def put(connection: sqlite3.Connection, persona: str, model: str, entries: Sequence[Entry], of: Batch) -> None:
    """Keep the vectors of this batch. Those of another model are dropped first."""
    known = connection.execute("SELECT model FROM recall_index WHERE persona = ?", (persona,)).fetchone()
    if known is None:
        return
    if known[0] != model:
        forget(connection, persona)
    connection.execute(
        "UPDATE recall_index SET meant = ?, meant_fed = ?, model = ? WHERE persona = ?",
        (of.meant, of.fed, model, persona),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO meaning (persona, line, vector) VALUES (?, ?, ?)",
        [(persona, line, vector) for line, vector in entries],
    )
    if not entries:
        return
    last = connection.execute(
        "SELECT number, lines, codes FROM meaning_block WHERE persona = ? ORDER BY number DESC LIMIT 1", (persona,)
    ).fetchone()
    number, lines, codes = last or (0, b"", b"")
    held = array("q", lines)
    if len(held) + len(entries) > BLOCK:
        number, held, codes = number + 1, array("q"), b""
    columns = [
        codes[place * len(held) : (place + 1) * len(held)] + bytes(added)
        for place, added in enumerate(zip(*(code_of(vector) for _, vector in entries), strict=True))
    ]
    held.extend(line for line, _ in entries)
    connection.execute(
        "INSERT OR REPLACE INTO meaning_block (persona, number, lines, codes) VALUES (?, ?, ?, ?)",
        (persona, number, held.tobytes(), b"".join(columns)),
    )


def near(connection: sqlite3.Connection, persona: str, vector: bytes, most: int) -> list[tuple[int, float]]:
    """Return the lines whose meaning is nearest to this vector, with the cosine, the nearest first."""
    tables = [_DIFFERING[byte] for byte in code_of(vector)]
    close: list[tuple[int, int]] = []
    for lines, codes in connection.execute(
        "SELECT lines, codes FROM meaning_block WHERE persona = ? ORDER BY number", (persona,)
    ):
        close += _close(array("q", lines), codes, tables)
    close.sort()
    numbers = array("b", vector)
    found = []
    for _, line in close[:CHOSEN]:
        row = connection.execute(
            "SELECT vector FROM meaning WHERE persona = ? AND line = ?", (persona, line)
        ).fetchone()
        if row and (cosine := sum(map(mul, numbers, array("b", row[0]))) / LENGTH**2) >= LEAST_COSINE:
            found.append((line, min(cosine, 1.0)))
    return sorted(found, key=lambda pair: -pair[1])[:most]


def _close(lines: array[int], codes: bytes, tables: Sequence[bytes]) -> list[tuple[int, int]]:
    """Return the lines of a block whose codes differ little, with half of the number of bits by which they do."""
    count = len(lines)
    halves = []
    for part in (range(CODE // 2), range(CODE // 2, CODE)):
        # The bits of half a code: at most 192, so that no byte of the sum overflows into the next one.
        differing = sum(
            int.from_bytes(codes[place * count : (place + 1) * count].translate(tables[place])) for place in part
        )
        halves.append((differing >> 1) & int.from_bytes(b"\x7f" * count))
    sums = (halves[0] + halves[1]).to_bytes(count)
    near_enough = sums.translate(_SMALL)
    found = []
    place = near_enough.find(1)
    while place >= 0:
        found.append((sums[place], lines[place]))
        place = near_enough.find(1, place + 1)
    return found


def has_any(connection: sqlite3.Connection, persona: str) -> bool:
    """Return whether she has vectors that a question can be compared with."""
    return (
        connection.execute("SELECT 1 FROM meaning_block WHERE persona = ? LIMIT 1", (persona,)).fetchone() is not None
    )


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Delete all her vectors."""
    connection.execute("DELETE FROM meaning WHERE persona = ?", (persona,))
    connection.execute("DELETE FROM meaning_block WHERE persona = ?", (persona,))


def remove(connection: sqlite3.Connection, persona: str, lines: Iterable[int]) -> None:
    """Delete the vectors of these lines. Their codes lead nowhere then."""
    connection.executemany("DELETE FROM meaning WHERE persona = ? AND line = ?", [(persona, line) for line in lines])


def code_of(vector: bytes) -> bytes:
    """Return one bit for the sign of each number."""
    return int(bytes(byte >> 7 for byte in vector).translate(_DIGITS), 2).to_bytes(CODE)


_DIGITS: Final = bytes.maketrans(b"\0\1", b"01")

_DIFFERING: Final = tuple(bytes((one ^ other).bit_count() for other in range(256)) for one in range(256))
"""For each byte of a code, by how many bits each other byte differs from it."""

_SMALL: Final = bytes(half <= LARGEST_HALF for half in range(256))
