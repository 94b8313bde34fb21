"""Who opted out of text messages with STOP, for each line: nothing goes to them until they write START.

A line is a channel's own number, so a STOP outlives changes of the channel and even its removal: the networks ask that
it is honoured until the person opts in again (https://www.twilio.com/docs/messaging/tutorials/advanced-opt-out).
"""

from __future__ import annotations

import sqlite3
from typing import Final

from daemon.ledger.open_channels import mark_conversation
from proto.gateways import Inbound

OPTED_OUT: Final = "The person opted out with STOP; they can write START."

SECOND: Final = 1_000_000_000
REMEMBERED_FOR: Final = 30 * 24 * 3600
"""Seconds for which a START is remembered, so that an earlier STOP that is listed again does not undo it."""


def note(connection: sqlite3.Connection, channel: str, item: Inbound, at: int) -> None:
    """Keep a STOP or START, unless a later one of this person is known already."""
    changed = connection.execute(
        "INSERT INTO opt_out (type, line, account, is_out, at) SELECT type, bot_id, ?1, ?2, ?3 FROM channel"
        " WHERE channel = ?4 ON CONFLICT (type, line, account) DO UPDATE SET is_out = ?2, at = ?3 WHERE at < ?3",
        (item.account, item.opt_out, min(item.at or at, at), channel),
    )
    if changed.rowcount:
        mark_conversation(connection, channel, item.chat, OPTED_OUT if item.opt_out else None, at)


def is_out(connection: sqlite3.Connection, seq: int) -> bool:
    """Whether this message of the outbox is for a person who opted out. On these channels a chat is a number."""
    found = connection.execute(
        "SELECT 1 FROM outbox CROSS JOIN channel USING (channel)"
        " JOIN opt_out ON opt_out.type = channel.type AND line = bot_id AND opt_out.account = outbox.chat"
        " WHERE seq = ? AND is_out = 1",
        (seq,),
    )
    return found.fetchone() is not None


def prune(connection: sqlite3.Connection, now: int) -> None:
    """Forget who opted in again long ago."""
    connection.execute("DELETE FROM opt_out WHERE is_out = 0 AND at < ?", (now - REMEMBERED_FOR * SECOND,))
