"""Idempotency keys of /v1: a request repeated with the same key gets the first answer."""

from __future__ import annotations

import sqlite3
from typing import Final, Literal

import msgspec

SECOND: Final = 1_000_000_000
KEPT_FOR: Final = 24 * 3600
"""Seconds for which a key is known."""


class Idempotent(msgspec.Struct, frozen=True):
    """The state of a key.

    ``new``: this request is the first; carry it out. ``begun``: the first request has no answer yet. It is still being
    carried out, or the daemon died meanwhile. ``done``: it was answered with ``status`` and ``body``. ``other``: the
    key belongs to a different request. ``at`` is when the first request came, in epoch nanoseconds.
    """

    state: Literal["new", "begun", "done", "other"]
    at: int
    status: int = 0
    body: bytes = b""


def begin(connection: sqlite3.Connection, key: str, fingerprint: str, at: int) -> Idempotent:
    """Claim the key for a request with this fingerprint, or return the state of the request that has it."""
    connection.execute("DELETE FROM idempotency WHERE key = ? AND at < ?", (key, at - KEPT_FOR * SECOND))
    added = connection.execute(
        "INSERT INTO idempotency (key, fingerprint, at) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING",
        (key, fingerprint, at),
    )
    if added.rowcount:
        return Idempotent("new", at)
    known, status, body, first = connection.execute(
        "SELECT fingerprint, status, body, at FROM idempotency WHERE key = ?", (key,)
    ).fetchone()
    if known != fingerprint:
        return Idempotent("other", first)
    return Idempotent("begun", first) if status is None else Idempotent("done", first, status, body)


def done(connection: sqlite3.Connection, key: str, status: int, body: bytes) -> None:
    """Keep the answer."""
    connection.execute("UPDATE idempotency SET status = ?, body = ? WHERE key = ?", (status, body, key))


def drop(connection: sqlite3.Connection, key: str) -> None:
    """Release the key of a request that failed and may be tried again."""
    connection.execute("DELETE FROM idempotency WHERE key = ? AND status IS NULL", (key,))


def prune(connection: sqlite3.Connection, now: int) -> None:
    """Delete expired keys."""
    connection.execute("DELETE FROM idempotency WHERE at < ?", (now - KEPT_FOR * SECOND,))
