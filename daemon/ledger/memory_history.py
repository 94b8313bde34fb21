"""The history of the memory files: every version with when and why, and changes whose files may not be written yet.

A change is kept first, then its files are written, then ``finish`` makes versions of it. So a kill between any two of
these neither loses a version nor makes it twice.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from daemon.ledger import conversation, feeds
from proto.feeds import FedLine
from proto.messages import Memory
from proto.texts import MemoryName, Title

NEWEST: Final = 50
"""The newest versions of a file, which all are kept. Of the older ones, each day's last is."""

MOST_VERSIONS: Final = 200
MOST_BYTES: Final = 1024 * 1024
"""Versions of one file and their bytes in all; beyond these the oldest go."""

FEWEST: Final = 2
"""Versions that stay whatever their size: today's, and the one that an undo puts back."""

DAY: Final = 86_400_000_000_000

Cause: TypeAlias = Literal["talk", "feed", "hand", "undo", "restored", "found"]
"""Why a version came to be.

``talk``: a consolidation. ``feed``: the history of another AI. ``hand``: somebody edited the file. ``undo``: an earlier
version was put back. ``restored``: it came with an archive that has no history. ``found``: it was there when her
history began.
"""

Files: TypeAlias = Mapping[str, str | None]
"""Texts by the file's name; None stands for a file that is not there."""

_Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Source = Annotated[str, msgspec.Meta(max_length=64)]


class Why(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why memory changes.

    Of a talk: the ids of its ``first`` and ``last`` line, and when they were said, in epoch nanoseconds; ids are 0
    where they are not known any more. Of a feed: its source, the conversation's key and its title. Of an undo: the
    number of the version that it ``restores``, 0 if the file was not there.
    """

    cause: Cause
    first: _Number = 0
    last: _Number = 0
    said_from: _Number = 0
    said_to: _Number = 0
    source: _Source = ""
    key: _Source = ""
    title: Title = ""
    restores: _Number = 0


class Change(msgspec.Struct, frozen=True):
    """A change whose files may not be written. ``before`` and ``after`` hold these files whole."""

    id: int
    persona: str
    why: Why
    before: dict[str, str | None]
    after: dict[str, str | None]


class Version(msgspec.Struct, frozen=True):
    """A version of a file; ``at`` is in epoch nanoseconds, ``size`` in bytes, None when the file was not there."""

    file: str
    version: int
    at: int
    why: Why
    digest: str
    size: int | None


class ArchivedVersion(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version in an export. The ids of a talk's lines are left out: restored lines get others."""

    file: MemoryName
    version: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
    at: _Number
    why: Why
    body: Annotated[str, msgspec.Meta(max_length=MOST_BYTES)] | None = None


_COLUMNS: Final = "file, version, at, why, digest, length(CAST(body AS BLOB))"


def begin(
    connection: sqlite3.Connection,
    persona: str,
    why: Why,
    before: Files,
    after: Files,
    at: int,
    lines: Iterable[FedLine] = (),
) -> int:
    """Keep a change before its files are written, and return its id. A feed's conversation is kept, with its lines."""
    if why.cause == "feed":
        feeds.digested(connection, persona, why.key, why.source, why.title, lines, at)
    elif why.cause == "talk":
        why = msgspec.structs.replace(why, first=conversation.first_unconsolidated(connection, persona))
    row = connection.execute(
        "INSERT INTO memory_change (persona, at, why, before, after) VALUES (?, ?, ?, ?, ?)",
        (persona, at, msgspec.json.encode(why).decode(), json.dumps(dict(before)), json.dumps(dict(after))),
    )
    assert row.lastrowid is not None
    return row.lastrowid


def finish(connection: sqlite3.Connection, number: int) -> None:
    """The files of a change are written: keep their versions, and that the lines or the fed conversation are learned.

    A change that is finished already changes nothing.
    """
    found = connection.execute("SELECT persona, at, why, after FROM memory_change WHERE id = ?", (number,)).fetchone()
    if found is None:
        return
    persona, at, raw, after = found
    why = _why(raw)
    for file, body in json.loads(after).items():
        _add(connection, persona, file, body, why, at)
    if why.cause == "talk":
        conversation.consolidated(connection, persona, why.last)
    elif why.cause == "feed":
        feeds.applied(connection, persona, why.key)
    connection.execute("DELETE FROM memory_change WHERE id = ?", (number,))


def give_up(connection: sqlite3.Connection, number: int, written: Iterable[str]) -> None:
    """A change cannot be carried out: keep the versions of the files that are ``written``, and nothing else of it."""
    found = connection.execute("SELECT persona, at, why, after FROM memory_change WHERE id = ?", (number,)).fetchone()
    if found is None:
        return
    persona, at, raw, after = found
    why, bodies = _why(raw), json.loads(after)
    for file in written:
        _add(connection, persona, file, bodies[file], why, at)
    if why.cause == "feed":
        feeds.undo(connection, persona, why.key)
    connection.execute("DELETE FROM memory_change WHERE id = ?", (number,))


def open_changes(connection: sqlite3.Connection, persona: str) -> list[Change]:
    """Return her changes whose files may not be written, oldest first."""
    rows = connection.execute(
        "SELECT id, persona, why, before, after FROM memory_change WHERE persona = ? ORDER BY id", (persona,)
    )
    return [
        Change(number, owner, _why(why), json.loads(before), json.loads(after))
        for number, owner, why, before, after in rows
    ]


def with_open_changes(connection: sqlite3.Connection) -> set[str]:
    """Return the personas who have such changes."""
    return {persona for (persona,) in connection.execute("SELECT DISTINCT persona FROM memory_change")}


def digests(connection: sqlite3.Connection, persona: str) -> dict[str, str] | None:
    """Return the digest of each file's last version, or None when her history has not begun."""
    if not connection.execute("SELECT 1 FROM memory_history WHERE persona = ?", (persona,)).fetchone():
        return None
    rows = connection.execute(
        "SELECT file, digest FROM memory_version AS one WHERE persona = ? AND version ="
        " (SELECT max(version) FROM memory_version WHERE persona = one.persona AND file = one.file)",
        (persona,),
    )
    return dict(rows.fetchall())


def note(connection: sqlite3.Connection, persona: str, files: Files, why: Why, at: int) -> list[str]:
    """Keep what these files hold now, where that is not their last version; return the names of those.

    From now on her history has begun.
    """
    connection.execute(
        "INSERT INTO memory_history (persona, begun_at) VALUES (?, ?) ON CONFLICT DO NOTHING", (persona, at)
    )
    return [file for file, body in files.items() if _add(connection, persona, file, body, why, at)]


def latest(connection: sqlite3.Connection, persona: str) -> list[tuple[Version, int]]:
    """Return the last version of each file that ever was, and how many of its versions are kept, by name."""
    rows = connection.execute(
        f"SELECT {_COLUMNS}, (SELECT count(*) FROM memory_version WHERE persona = one.persona AND file = one.file)"  # noqa: S608 (constants)
        " FROM memory_version AS one WHERE persona = ? AND version ="
        " (SELECT max(version) FROM memory_version WHERE persona = one.persona AND file = one.file) ORDER BY file",
        (persona,),
    )
    return [(_version(row[:-1]), row[-1]) for row in rows]


def versions(connection: sqlite3.Connection, persona: str, file: str) -> list[Version]:
    """Return a file's versions, newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM memory_version WHERE persona = ? AND file = ? ORDER BY version DESC",  # noqa: S608 (constants)
        (persona, file),
    )
    return [_version(row) for row in rows]


def body(connection: sqlite3.Connection, persona: str, file: str, version: int) -> tuple[Version, str | None] | None:
    """Return one version with its text, or None when it is not kept."""
    row = connection.execute(
        f"SELECT {_COLUMNS}, body FROM memory_version WHERE persona = ? AND file = ? AND version = ?",  # noqa: S608 (constants)
        (persona, file, version),
    ).fetchone()
    return (_version(row[:-1]), row[-1]) if row else None


def archived(connection: sqlite3.Connection, persona: str, after: int, limit: int) -> tuple[int, list[ArchivedVersion]]:
    """Return the next versions for an export, in the order in which they were kept, and the id of the last one."""
    rows = connection.execute(
        "SELECT id, file, version, at, why, body FROM memory_version WHERE persona = ? AND id > ? ORDER BY id LIMIT ?",
        (persona, after, limit),
    ).fetchall()
    found = [
        ArchivedVersion(file, version, at, msgspec.structs.replace(_why(why), first=0, last=0), text)
        for _, file, version, at, why, text in rows
    ]
    return (rows[-1][0] if rows else 0), found


def put_back(connection: sqlite3.Connection, persona: str, found: Iterable[ArchivedVersion]) -> None:
    """Restore versions of an export."""
    for one in found:
        why = msgspec.structs.replace(one.why, first=0, last=0)
        connection.execute(
            "INSERT INTO memory_version (persona, file, version, at, why, digest, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (persona, one.file, one.version, one.at, msgspec.json.encode(why).decode(), digest(one.body), one.body),
        )
        _thin(connection, persona, one.file)


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Delete her history and her open changes."""
    for table in ("memory_change", "memory_version", "memory_history"):
        connection.execute(f"DELETE FROM {table} WHERE persona = ?", (persona,))  # noqa: S608 (constants)


def digest(text: str | None) -> str:
    """Return what tells two texts of a file apart; "" for a file that is not there."""
    return "" if text is None else hashlib.sha256(text.encode()).hexdigest()


def changed(known: Mapping[str, str], memory: Memory, unread: frozenset[str]) -> dict[str, str | None]:
    """Return the files whose last version, by its ``known`` digest, is another; ``unread`` ones are left out."""
    now: dict[str, str | None] = {**dict.fromkeys(known.keys() - memory.keys()), **memory}
    return {file: text for file, text in now.items() if file not in unread and known.get(file, "") != digest(text)}


def _add(connection: sqlite3.Connection, persona: str, file: str, text: str | None, why: Why, at: int) -> bool:
    """Keep a version unless it is what the last one holds."""
    last = connection.execute(
        "SELECT version, digest FROM memory_version WHERE persona = ? AND file = ? ORDER BY version DESC LIMIT 1",
        (persona, file),
    ).fetchone() or (0, "")
    if last[1] == digest(text):
        return False
    connection.execute(
        "INSERT INTO memory_version (persona, file, version, at, why, digest, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (persona, file, last[0] + 1, at, msgspec.json.encode(why).decode(), digest(text), text),
    )
    _thin(connection, persona, file)
    return True


def _thin(connection: sqlite3.Connection, persona: str, file: str) -> None:
    """Delete what is too much of a file's history: of older versions all but each day's last, then the oldest."""
    rows = connection.execute(
        "SELECT id, at, coalesce(length(CAST(body AS BLOB)), 0) FROM memory_version"
        " WHERE persona = ? AND file = ? ORDER BY version DESC",
        (persona, file),
    ).fetchall()
    days, left, gone = set[int](), MOST_BYTES, list[int]()
    kept = 0
    for place, (number, at, size) in enumerate(rows):
        is_last_of_day = place < NEWEST or at // DAY not in days
        if place >= NEWEST:
            days.add(at // DAY)
        left -= size if is_last_of_day else 0
        if place >= FEWEST and (not is_last_of_day or kept >= MOST_VERSIONS or left < 0):
            gone.append(number)
        else:
            kept += 1
    connection.executemany("DELETE FROM memory_version WHERE id = ?", [(number,) for number in gone])


def _version(row: tuple[str, int, int, str, str, int | None]) -> Version:
    file, version, at, why, mark, size = row
    return Version(file, version, at, _why(why), mark, size)


def _why(raw: str) -> Why:
    """A damaged row loses its reason, not its text."""
    try:
        return msgspec.json.decode(raw, type=Why)
    except msgspec.DecodeError:
        return Why("found")
