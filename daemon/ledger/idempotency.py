"""Idempotency keys of /v1: a request that is repeated under its key gets the first one's answer."""

from __future__ import annotations

import sqlite3
from typing import Final, Literal

import msgspec

SECOND: Final = 1_000_000_000
KEPT_FOR: Final = 24 * 3600
"""Seconds for which a key is known."""


class Idempotent(msgspec.Struct, frozen=True):
    """What is known of a key.

    ``new``: this request is the first, and shall be carried out. ``begun``: the first has no answer yet, because it is
    being carried out, or was when the daemon died. ``done``: it was answered with ``status`` and ``body``. ``other``:
    the key came with another request. ``at`` is when the first came, epoch nanoseconds.
    """

    state: Literal["new", "begun", "done", "other"]
    at: int
    status: int = 0
    body: bytes = b""


def begin(connection: sqlite3.Connection, key: str, fingerprint: str, at: int) -> Idempotent:
    """Claim the key for a request with this fingerprint, or tell what became of the one that has it."""
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
    """The request failed in a way that may be tried again."""
    connection.execute("DELETE FROM idempotency WHERE key = ? AND status IS NULL", (key,))


def prune(connection: sqlite3.Connection, now: int) -> None:
    """Forget keys whose time is over."""
    connection.execute("DELETE FROM idempotency WHERE at < ?", (now - KEPT_FOR * SECOND,))
