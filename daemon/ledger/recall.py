"""Find again what was said: full text and meaning, fused, with recency, neighbours, and what was corrected since.

The search of an owner's words goes through her index, which holds no line of an open channel. A visitor's reads the
lines of this one conversation and no index at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Final, Literal, NamedTuple

import msgspec

from daemon.ledger import meaning, recall_index, recall_ranking
from daemon.ledger.recall_ranking import Candidate
from daemon.ledger.recall_words import indexed, query, terms
from proto.messages import Conversation
from proto.recalling import Beside, Passage

LAST: Final = 2**63 - 1

CANDIDATES: Final = 100
"""Lines that the index ranks first and that are then looked at one by one."""

NEAREST: Final = 50
"""Lines that come in for their meaning."""

RANKS: Final = 60
"""The constant of reciprocal rank fusion: how little the first ranks differ."""

VISITED_LINES: Final = 1_000
"""A visitor's lines that are searched: the latest ones."""

_BESIDE: Final = (
    "SELECT role, content FROM conversation WHERE persona = ? AND type = ? AND name = ? AND channel = ? AND chat = ?"
    " AND notice = 0 AND open = 0 AND"
)
_FED_BESIDE: Final = "SELECT role, content FROM fed_line WHERE persona = ? AND key = ? AND"
_BEFORE: Final = "id < ? ORDER BY id DESC LIMIT 1"
_AFTER: Final = "id > ? ORDER BY id LIMIT 1"

_LINE: Final = "role, content, at, type, name, channel, chat, title, perceived"


class Hit(NamedTuple):
    """A line that was hit, how well, and how near its meaning is, 0 if nobody knows."""

    line: int
    score: float
    cosine: float


class Asked(msgspec.Struct, frozen=True):
    """What is looked for: ``words`` of a question, said from ``since`` to before ``until`` (epoch nanoseconds).

    The last ``seen`` lines of ``conversation`` are known already. ``vector`` is the meaning of the words, if there is
    one. At most ``limit`` passages are found.
    """

    words: str
    conversation: Conversation
    now: int
    since: int = 0
    until: int = LAST
    seen: int = 0
    limit: int = 8
    vector: bytes = b""

    @property
    def is_dated(self) -> bool:
        """Whether a time narrows the search."""
        return self.since > 0 or self.until < LAST


def search(connection: sqlite3.Connection, persona: str, asked: Asked) -> list[Passage]:
    """Return the best passages of her owner's conversations and of what she was fed, the best one first."""
    found = terms(asked.words)
    name = recall_index.name_of(connection, persona)
    if name is None or not (found or asked.is_dated or asked.vector):
        return []
    edge = _edge(connection, persona, asked)
    by_words = [id_ for id_, _ in _by_words(connection, persona, name, found, asked)] if found else []
    nearest = meaning.near(connection, persona, asked.vector, NEAREST) if asked.vector else []
    hits = _fused(by_words, nearest)
    candidates = [one for one in _lines(connection, persona, hits) if _is_wanted(one, asked, edge)]
    if not candidates and asked.is_dated:
        candidates = _of_the_time(connection, persona, asked)
        candidates = [one for one in candidates if _is_wanted(one, asked, edge)]
    ranked = recall_ranking.ranked(candidates, asked.words, asked.now)[: asked.limit]
    return [_passage(connection, persona, one, found) for one in ranked]


def visited(connection: sqlite3.Connection, persona: str, asked: Asked) -> list[Passage]:
    """Return the best passages of a visitor's own conversation that their last ``seen`` lines do not hold."""
    found = terms(asked.words)
    if not found:
        return []
    where = (persona, *msgspec.structs.astuple(asked.conversation))
    rows = connection.execute(
        f"SELECT id, {_LINE} FROM conversation WHERE persona = ? AND type = ? AND name = ? AND channel = ?"  # noqa: S608 (a constant)
        " AND chat = ? AND notice = 0 AND open = 1 ORDER BY id DESC LIMIT ? OFFSET ?",
        (*where, VISITED_LINES, asked.seen),
    ).fetchall()
    if not rows:
        return []
    lines = {row[0]: row for row in rows}
    by_words = _rank_apart([(row[0], indexed(row[2], row[8], row[9])) for row in reversed(rows)], query(found))
    candidates = [_candidate(lines[hit.line], hit.score) for hit in _fused([id_ for id_, _ in by_words], [])]
    ranked = recall_ranking.ranked(candidates, asked.words, asked.now)[: asked.limit]
    return [recall_ranking.shown(one, found, None, None) for one in ranked]


def _by_words(
    connection: sqlite3.Connection, persona: str, name: str, found: list[str], asked: Asked
) -> list[tuple[int, float]]:
    """Return the ids of lines with these words, a fed line's with a minus, and how well each fits."""
    hits = f"SELECT rowid, -rank FROM {name} WHERE {name} MATCH ?1"  # noqa: S608 (a name of ours)
    if not asked.is_dated:
        return connection.execute(f"{hits} ORDER BY rank LIMIT {CANDIDATES}", (query(found),)).fetchall()
    spans = []
    for table, sign in (("conversation", 1), ("fed_line", -1)):
        ends = _span(connection, table, persona, asked)
        if ends:
            spans.append(sorted(sign * end for end in ends))
    return [
        hit
        for low, high in spans
        for hit in connection.execute(
            f"{hits} AND rowid BETWEEN ?2 AND ?3 ORDER BY rank LIMIT {CANDIDATES}", (query(found), low, high)
        )
    ]


def _span(connection: sqlite3.Connection, table: str, persona: str, asked: Asked) -> tuple[int, int] | None:
    """Return the first and the last id of her lines of that time: ids mostly rise with time."""
    only = " AND open = 0" if table == "conversation" else ""
    ends: tuple[int | None, int | None] = connection.execute(
        f"SELECT min(id), max(id) FROM {table} WHERE persona = ?{only} AND at >= ? AND at < ?",  # noqa: S608 (constants)
        (persona, asked.since, asked.until),
    ).fetchone()
    low, high = ends
    return None if low is None or high is None else (low, high)


def _fused(by_words: Sequence[int], nearest: Sequence[tuple[int, float]]) -> list[Hit]:
    """Fuse two orders by the reciprocal of each line's rank (https://doi.org/10.1145/1571941.1572114)."""
    cosines = dict(nearest)
    scores: dict[int, float] = {}
    for order in (by_words, [line for line, _ in nearest]):
        for rank, line in enumerate(order, start=1):
            scores[line] = scores.get(line, 0.0) + 1 / (RANKS + rank)
    return [Hit(line, score, cosines.get(line, 0.0)) for line, score in scores.items()]


def _lines(connection: sqlite3.Connection, persona: str, hits: Iterable[Hit]) -> list[Candidate]:
    """Read the lines that were hit. One that is gone, or is no longer hers alone, is left out."""
    return [one for hit in hits if (one := _line(connection, persona, hit))]


def _line(connection: sqlite3.Connection, persona: str, hit: Hit) -> Candidate | None:
    id_ = hit.line
    if id_ > 0:
        row = connection.execute(
            f"SELECT id, {_LINE} FROM conversation WHERE id = ? AND persona = ? AND open = 0 AND notice = 0",  # noqa: S608 (a constant)
            (id_, persona),
        ).fetchone()
    else:
        row = connection.execute(
            "SELECT -id, role, content, at, source, key, '', '', title, '' FROM fed_line WHERE id = ? AND persona = ?",
            (-id_, persona),
        ).fetchone()
    return _candidate(row, hit.score, hit.cosine) if row else None


def _candidate(row: Sequence[object], score: float, cosine: float = 0.0) -> Candidate:
    id_, role, content, at, type_, name, channel, chat, title, perceived = row
    where = Conversation(str(type_), str(name), str(channel), str(chat))
    said: Literal["person", "assistant"] = "person" if role == "person" else "assistant"
    text = "\n".join(text for text in (str(content), str(perceived)) if text.strip())
    return Candidate(int(str(id_)), said, text, int(str(at)), where, str(title), score, cosine)


def _edge(connection: sqlite3.Connection, persona: str, asked: Asked) -> int:
    """Return the id of the first line of the conversation in hand that is known already."""
    if not asked.seen:
        return LAST
    found = connection.execute(
        "SELECT id FROM conversation WHERE persona = ? AND type = ? AND name = ? AND channel = ? AND chat = ?"
        " AND notice = 0 ORDER BY id DESC LIMIT 1 OFFSET ?",
        (persona, *msgspec.structs.astuple(asked.conversation), asked.seen - 1),
    ).fetchone()
    return int(found[0]) if found else 0


def _is_wanted(one: Candidate, asked: Asked, edge: int) -> bool:
    in_time = asked.since <= one.at < asked.until
    return in_time and not (one.where == asked.conversation and one.id >= edge)


def _of_the_time(connection: sqlite3.Connection, persona: str, asked: Asked) -> list[Candidate]:
    """Return lines of that time, whatever they are about: the first ones, where a talk says what it is about."""
    rows = connection.execute(
        f"SELECT id, {_LINE} FROM conversation WHERE persona = ? AND open = 0 AND at >= ? AND at < ? AND notice = 0"  # noqa: S608 (a constant)
        " ORDER BY at LIMIT ?",
        (persona, asked.since, asked.until, CANDIDATES),
    ).fetchall()
    return [_candidate(row, 1.0 if row[1] == "person" else 0.5) for row in rows]


def _passage(connection: sqlite3.Connection, persona: str, one: Candidate, found: Sequence[str]) -> Passage:
    before, after = (_neighbour(connection, persona, one, which) for which in (_BEFORE, _AFTER))
    return recall_ranking.shown(one, found, before, after)


def _neighbour(connection: sqlite3.Connection, persona: str, one: Candidate, which: str) -> Beside | None:
    if one.id > 0:
        row = connection.execute(
            f"{_BESIDE} {which}", (persona, *msgspec.structs.astuple(one.where), one.id)
        ).fetchone()
    else:
        row = connection.execute(f"{_FED_BESIDE} {which}", (persona, one.where.name, -one.id)).fetchone()
    return Beside(*row) if row else None


def _rank_apart(texts: Iterable[tuple[int, str]], wanted: str) -> list[tuple[int, float]]:
    """Rank these texts by an index that exists only for this question."""
    with closing(sqlite3.connect(":memory:")) as apart:
        apart.execute(
            "CREATE VIRTUAL TABLE said USING fts5"
            " (words, content = '', tokenize = 'porter unicode61 remove_diacritics 2')"
        )
        apart.executemany("INSERT INTO said (rowid, words) VALUES (?, ?)", texts)
        return apart.execute(
            f"SELECT rowid, -rank FROM said WHERE said MATCH ? ORDER BY rank LIMIT {CANDIDATES}",  # noqa: S608 (a constant)
            (wanted,),
        ).fetchall()
