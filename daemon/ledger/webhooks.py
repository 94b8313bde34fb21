"""Providers' webhook requests, committed before they are answered and kept until her gateway has handled them.

A request that this version cannot read stays open with the reason in ``unread``. It is handed out again after an
upgrade.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import msgspec

from daemon.ledger.errors import ChannelUnknown, WebhooksFull
from proto.gateways import Unread

SECOND: Final = 1_000_000_000
REPEATED_FOR: Final = 8 * 24 * 3600
"""Seconds for which a request's key is kept: Meta retries for seven days.

https://developers.facebook.com/docs/whatsapp/cloud-api/guides/set-up-webhooks
"""
MOST_OPEN: Final = 1000
"""Requests that may wait for one channel while its persona is stopped. The provider must retry further ones."""

MOST_UNREAD: Final = 100
"""Requests that are kept unread for one channel; beyond that the oldest is given up."""
UNREAD_FOR: Final = 90 * 24 * 3600
"""Seconds for which an unread request is kept. Nobody waits longer for an answer."""
DEADLY: Final = "Her process died several times with it in hand."


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
        "SELECT count(*) FROM webhook WHERE persona = ? AND channel = ? AND done = 0 AND unread IS NULL",
        (*owner, channel),
    ).fetchone()[0]
    if waiting > MOST_OPEN:
        raise WebhooksFull(MOST_OPEN)
    return row.lastrowid


def open_(connection: sqlite3.Connection, persona: str, after: int, limit: int, version: str) -> list[OpenWebhook]:
    """Return her open requests with a number above ``after``, oldest first; not those that this version cannot read."""
    rows = connection.execute(
        "SELECT number, channel, content_type, body, deaths FROM webhook WHERE persona = ? AND done = 0 AND number > ?"
        " AND (unread IS NULL OR unread_by <> ?) ORDER BY number LIMIT ?",
        (persona, after, version, limit),
    )
    return [OpenWebhook(*row) for row in rows]


def done(connection: sqlite3.Connection, persona: str, numbers: Iterable[int]) -> None:
    """Close the requests that her gateway has handled; only their keys are kept."""
    connection.executemany(
        "UPDATE webhook SET done = 1, body = x'', unread = NULL WHERE number = ? AND persona = ? AND done = 0",
        [(number, persona) for number in numbers],
    )


def unread(
    connection: sqlite3.Connection, persona: str, channel: str, found: Iterable[Unread], at: int, version: str
) -> None:
    """Keep what her gateway cannot read, with the reason. Beyond ``MOST_UNREAD`` the oldest requests are closed."""
    for one in found:
        if one.number:
            connection.execute(
                "UPDATE webhook SET unread = ?, unread_by = ?, body = iif(length(?3) > 0, ?3, body)"
                " WHERE number = ?4 AND persona = ?5 AND channel = ?6 AND done = 0",
                (one.reason, version, one.body, one.number, persona, channel),
            )
        else:
            connection.execute(
                "INSERT INTO webhook (persona, channel, key, content_type, body, at, unread, unread_by)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (channel, key) DO NOTHING",
                (persona, channel, _key(one), one.content_type, one.body, at, one.reason, version),
            )
    connection.execute(
        "UPDATE webhook SET done = 1, body = x'', unread = NULL WHERE number IN (SELECT number FROM webhook"
        " WHERE channel = ? AND unread IS NOT NULL AND done = 0 ORDER BY number DESC LIMIT -1 OFFSET ?)",
        (channel, MOST_UNREAD),
    )


def _key(one: Unread) -> str:
    return one.key or sha256(one.body).hexdigest()


def died(connection: sqlite3.Connection, numbers: Iterable[int], limit: int, version: str) -> list[int]:
    """Count a death for each open request. Those that reach ``limit`` are kept as unread and returned."""
    rows = connection.execute(
        "UPDATE webhook SET deaths = deaths + 1, unread = iif(deaths + 1 >= ?1, ?2, unread),"
        " unread_by = iif(deaths + 1 >= ?1, ?3, unread_by)"
        " WHERE done = 0 AND number IN (SELECT value FROM json_each(?4)) RETURNING number, deaths >= ?1",
        (limit, DEADLY, version, json.dumps(list(numbers))),
    ).fetchall()
    return [number for number, is_deadly in rows if is_deadly]


def prune(connection: sqlite3.Connection, now: int) -> None:
    """Delete closed requests that no provider repeats any more, and unread ones that came too long ago."""
    connection.execute("DELETE FROM webhook WHERE done = 1 AND at < ?", (now - REPEATED_FOR * SECOND,))
    connection.execute("DELETE FROM webhook WHERE unread IS NOT NULL AND at < ?", (now - UNREAD_FOR * SECOND,))
