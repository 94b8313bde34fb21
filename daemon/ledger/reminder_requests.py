"""What her turns asked for about reminders, so that a turn that is repeated does not ask for it twice.

A turn is repeated when its worker died before the answer was committed. Its perceptions may come back in other company,
or one by one, so each of them is noted with what was asked, in the transaction that does it.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Final

import msgspec

from daemon.ledger import reminders
from daemon.ledger.reminders import Reminder

KEPT: Final = 30 * 24 * 3600 * 1_000_000_000
"""Nanoseconds. By then a message is answered, or set aside."""


CANCEL: Final = "cancel "
"""The key of a request to remove begins like this."""


class ReminderAsked(msgspec.Struct, frozen=True):
    """A request of a turn: ``key`` says what, ``perceptions`` are those in hand, ``at`` is in epoch nanoseconds."""

    key: str
    perceptions: list[int]
    at: int


def answered(connection: sqlite3.Connection, persona: str, asked: ReminderAsked) -> Reminder | None:
    """Return what an earlier run of this turn got for the same request."""
    for perception in asked.perceptions:
        row: tuple[str] | None = connection.execute(
            "SELECT got FROM reminder_request WHERE persona = ? AND perception = ? AND key = ?",
            (persona, perception, asked.key),
        ).fetchone()
        if row:
            return msgspec.json.decode(row[0], type=Reminder)
    return None


def add(connection: sqlite3.Connection, new: Reminder, limit: int, asked: ReminderAsked) -> Reminder | None:
    """Add a reminder once for this request; None when she has ``limit`` already."""
    found = answered(connection, new.persona, asked)
    if found is None and (found := reminders.add(connection, new, limit)):
        _note(connection, found, asked)
    return found


def remove(connection: sqlite3.Connection, persona: str, reminder: int, asked: ReminderAsked) -> Reminder | None:
    """Remove a reminder once for this request; None when she has no such row."""
    found = answered(connection, persona, asked)
    if found is None and (found := reminders.remove(connection, persona, reminder)):
        _note(connection, found, asked)
    return found


def removed(connection: sqlite3.Connection, persona: str, perceptions: list[int]) -> list[Reminder]:
    """Return what the turn of these perceptions has removed so far."""
    rows = connection.execute(
        "SELECT DISTINCT got FROM reminder_request WHERE persona = ? AND key LIKE ?"
        " AND perception IN (SELECT value FROM json_each(?))",
        (persona, f"{CANCEL}%", json.dumps(perceptions)),
    )
    return [msgspec.json.decode(got, type=Reminder) for (got,) in rows]


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Delete all that is hers."""
    connection.execute("DELETE FROM reminder_request WHERE persona = ?", (persona,))


def _note(connection: sqlite3.Connection, got: Reminder, asked: ReminderAsked) -> None:
    connection.execute("DELETE FROM reminder_request WHERE persona = ? AND at < ?", (got.persona, asked.at - KEPT))
    told = msgspec.json.encode(got).decode()
    connection.executemany(
        "INSERT INTO reminder_request (persona, perception, key, got, at) VALUES (?, ?, ?, ?, ?)",
        [(got.persona, perception, asked.key, told, asked.at) for perception in asked.perceptions],
    )
