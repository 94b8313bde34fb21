"""What was fed: which imported conversations are digested, and what of that is not in the memory files yet."""

from __future__ import annotations

import json
import sqlite3

import msgspec

from proto.messages import Memory


class Digest(msgspec.Struct, frozen=True):
    """A digested conversation whose memory files may not be written: ``before`` and ``after`` are these files whole.

    A file that was not there has no entry in ``before``.
    """

    persona: str
    key: str
    before: Memory
    after: Memory


def digested(connection: sqlite3.Connection, digest: Digest, source: str, at: int) -> None:
    """Keep what a conversation makes of the memory files, before they are written."""
    connection.execute(
        "INSERT INTO feed (persona, key, source, at, before, after) VALUES (?, ?, ?, ?, ?, ?)",
        (digest.persona, digest.key, source, at, json.dumps(digest.before), json.dumps(digest.after)),
    )


def applied(connection: sqlite3.Connection, persona: str, key: str) -> None:
    """The memory files are written; only the key is kept."""
    connection.execute(
        "UPDATE feed SET state = 'applied', before = '', after = '' WHERE persona = ? AND key = ?", (persona, key)
    )


def undo(connection: sqlite3.Connection, persona: str, key: str) -> None:
    """The memory files could not be written: the conversation may be fed again."""
    connection.execute("DELETE FROM feed WHERE persona = ? AND key = ? AND state = 'digested'", (persona, key))


def is_known(connection: sqlite3.Connection, persona: str, key: str) -> bool:
    """Whether this conversation was fed to her before."""
    found: int = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM feed WHERE persona = ? AND key = ?)", (persona, key)
    ).fetchone()[0]
    return bool(found)


def unapplied(connection: sqlite3.Connection) -> list[Digest]:
    """What was digested and perhaps not written, oldest first."""
    rows = connection.execute("SELECT persona, key, before, after FROM feed WHERE state = 'digested' ORDER BY id")
    return [Digest(persona, key, json.loads(before), json.loads(after)) for persona, key, before, after in rows]


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Delete all of hers."""
    connection.execute("DELETE FROM feed WHERE persona = ?", (persona,))
