"""Providers' webhook requests, committed before they are answered and kept until her gateway has handled them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Final

import msgspec

from daemon.ledger.errors import ChannelUnknown, WebhooksFull

SECOND: Final = 1_000_000_000
REPEATED_FOR: Final = 8 * 24 * 3600
"""Seconds for which a request's key is kept: Meta retries for seven days.

https://developers.facebook.com/docs/whatsapp/cloud-api/guides/set-up-webhooks
"""
MOST_OPEN: Final = 1000
"""Requests that may wait for one channel while its persona is stopped. The provider must retry further ones."""


class OpenWebhook(msgspec.Struct, frozen=True):
    """A request that her gateway has not handled yet, and the number of workers that died with it in hand."""

    number: int
    channel: str
    content_type: str
    body: bytes
    deaths: int


def add(connection: sqlite3.Connection, channel: str, key: str, content_type: str, body: bytes, at: int) -> int | None:
    """Keep a request and return its number, or None when the channel already has one with this key.

    Raise ChannelUnknown when the channel is gone, WebhooksFull when too many requests are waiting.
    """
    owner: tuple[str] | None = connection.execute(
        "SELECT persona FROM channel WHERE channel = ?", (channel,)
    ).fetchone()
    if owner is None:
        raise ChannelUnknown(channel)
    row = connection.execute(
        "INSERT INTO webhook (persona, channel, key, content_type, body, at) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (channel, key) DO NOTHING",
        (*owner, channel, key, content_type, body, at),
    )
    if not row.rowcount:
        return None
    waiting = connection.execute(
        "SELECT count(*) FROM webhook WHERE persona = ? AND channel = ? AND done = 0", (*owner, channel)
    ).fetchone()[0]
    if waiting > MOST_OPEN:
        raise WebhooksFull(MOST_OPEN)
    return row.lastrowid


def open_(connection: sqlite3.Connection, persona: str, after: int, limit: int) -> list[OpenWebhook]:
    """Return her open requests with a number above ``after``, oldest first."""
    rows = connection.execute(
        "SELECT number, channel, content_type, body, deaths FROM webhook WHERE persona = ? AND done = 0 AND number > ?"
        " ORDER BY number LIMIT ?",
        (persona, after, limit),
    )
    return [OpenWebhook(*row) for row in rows]


def done(connection: sqlite3.Connection, persona: str, numbers: Iterable[int]) -> None:
    """Close the requests that her gateway has handled; only their keys are kept."""
    connection.executemany(
        "UPDATE webhook SET done = 1, body = x'' WHERE number = ? AND persona = ? AND done = 0",
        [(number, persona) for number in numbers],
    )


def died(connection: sqlite3.Connection, numbers: Iterable[int], limit: int) -> list[int]:
    """Count a death for each open request. Those that reach ``limit`` are closed and returned."""
    rows = connection.execute(
        "UPDATE webhook SET deaths = deaths + 1, done = iif(deaths + 1 >= ?1, 1, 0)"
        " WHERE done = 0 AND number IN (SELECT value FROM json_each(?2)) RETURNING number, done",
        (limit, json.dumps(list(numbers))),
    ).fetchall()
    return [number for number, is_done in rows if is_done]


def prune(connection: sqlite3.Connection, now: int) -> None:
    """Delete closed requests that no provider repeats any more."""
    connection.execute("DELETE FROM webhook WHERE done = 1 AND at < ?", (now - REPEATED_FOR * SECOND,))
