"""Calls of remote minds and organs: reserved, booked, added up, and rolled up by day when they are old."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from proto.costs import Purpose, Source, Used

VISITORS: Final = "visitor"
"""The purpose of what visitors cost; every other one is her owner's."""

MOST_ROWS: Final = 20_000
"""Rows of one answer about her usage."""

KEPT_DAYS: Final = 62
"""Days for which each call keeps a row of its own: two months, so that a month's budget is never a rolled-up one."""


class Call(msgspec.Struct, frozen=True):
    """A call as it is reserved; ``cost`` is in nano-units of ``currency``, None if no price is known."""

    persona: str
    day: str
    purpose: Purpose
    organ: str
    provider: str
    model: str
    used: Used
    cost: int | None
    currency: str


class Room(msgspec.Struct, frozen=True):
    """What may be used from the day ``since`` on: ``most`` tokens, or with ``currency`` nano-units of it."""

    since: str
    most: int
    currency: str = ""


class Crossed(msgspec.Struct, frozen=True):
    """The limit that a call would cross: the place of its ``Room``, what is used, and how much of that is reserved."""

    place: int
    used: int
    held: int


class UsageRow(msgspec.Struct, frozen=True):
    """What was used on one day of one model for one purpose; ``cost`` None: no price was known."""

    day: str
    purpose: str
    organ: str
    provider: str
    model: str
    source: str
    calls: int
    input: int
    output: int
    cached: int
    unit: str
    units: int
    cost: int | None
    currency: str


def reserve(connection: sqlite3.Connection, call: Call, rooms: Sequence[Room]) -> int | Crossed:
    """Keep a call that begins and return its id, or the first limit that it would cross. Nothing is kept then.

    A budget of nothing lets no call pass, whatever it is expected to use.
    """
    for place, room in enumerate(rooms):
        used, held = _used(connection, call, room)
        more = (call.cost or 0) if room.currency else call.used.input + call.used.output
        if used >= room.most or used + more > room.most:
            return Crossed(place, used, held)
    used_ = call.used
    row = connection.execute(
        "INSERT INTO call (persona, day, purpose, organ, provider, model, state, input, output, cached, unit, units,"
        " cost, currency) VALUES (?, ?, ?, ?, ?, ?, 'open', ?, ?, ?, ?, ?, ?, ?)",
        (
            *(call.persona, call.day, call.purpose, call.organ, call.provider, call.model),
            *(used_.input, used_.output, used_.cached, used_.unit, used_.units, call.cost, call.currency),
        ),
    )
    assert row.lastrowid is not None
    return row.lastrowid


def book(connection: sqlite3.Connection, call: int, used: Used, source: Source, cost: int | None) -> None:
    """Replace what was reserved for a call by what it used. A call that is booked already stays as it is."""
    connection.execute(
        "UPDATE call SET state = ?, input = ?, output = ?, cached = ?, unit = ?, units = ?, cost = ?"
        " WHERE id = ? AND state = 'open'",
        (source, used.input, used.output, used.cached, used.unit, used.units, cost, call),
    )


def release(connection: sqlite3.Connection, call: int) -> None:
    """Delete a call that cost nothing."""
    connection.execute("DELETE FROM call WHERE id = ? AND state = 'open'", (call,))


def settle(connection: sqlite3.Connection, calls: Sequence[int] | None) -> int:
    """Book these calls, or all that are open, at what was reserved for them: nobody will tell what they used."""
    if calls is None:
        return connection.execute("UPDATE call SET state = 'estimated' WHERE state = 'open'").rowcount
    rows = connection.executemany(
        "UPDATE call SET state = 'estimated' WHERE id = ? AND state = 'open'", [(one,) for one in calls]
    )
    return rows.rowcount


def usage(connection: sqlite3.Connection, persona: str, first: str, last: str) -> list[UsageRow]:
    """Return what she used from the day ``first`` to the day ``last``, by day, model, purpose and source."""
    rows = connection.execute(
        "SELECT day, purpose, organ, provider, model, state, sum(calls), sum(input), sum(output), sum(cached), unit,"
        " sum(units), sum(cost), currency FROM call WHERE persona = ? AND day BETWEEN ? AND ?"
        " GROUP BY day, provider, model, purpose, organ, state, unit, currency, cost IS NULL LIMIT ?",
        (persona, first, last, MOST_ROWS),
    )
    found = (UsageRow(*row) for row in rows)
    return sorted(found, key=lambda row: (row.day, row.provider, row.model, row.purpose, row.organ, row.source))


def roll_up(connection: sqlite3.Connection, before: str, forgotten: str) -> int:
    """Fold the calls of each day before ``before`` into one row by model and purpose; return how many rows went.

    Days before ``forgotten`` are deleted.
    """
    gone = connection.execute("DELETE FROM call WHERE day < ?", (forgotten,)).rowcount
    days = connection.execute(
        "SELECT DISTINCT persona, day FROM call WHERE rolled = 0 AND day < ?", (before,)
    ).fetchall()
    for persona, day in days:
        rows = connection.execute(
            "SELECT persona, day, purpose, organ, provider, model, state, sum(calls), sum(input), sum(output),"
            " sum(cached), unit, sum(units), sum(cost), currency FROM call WHERE persona = ? AND day = ?"
            " GROUP BY purpose, organ, provider, model, state, unit, currency, cost IS NULL",
            (persona, day),
        ).fetchall()
        gone += connection.execute("DELETE FROM call WHERE persona = ? AND day = ?", (persona, day)).rowcount
        connection.executemany(
            "INSERT INTO call (persona, day, purpose, organ, provider, model, state, calls, input, output, cached,"
            " unit, units, cost, currency, rolled) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
            rows,
        )
        gone -= len(rows)
    return gone


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Delete all her calls."""
    connection.execute("DELETE FROM call WHERE persona = ?", (persona,))


def _used(connection: sqlite3.Connection, call: Call, room: Room) -> tuple[int, int]:
    """Return what is used of a room and how much of that is only reserved, by her visitors or by her owner."""
    what, of = ("coalesce(cost, 0)", " AND currency = ?") if room.currency else ("input + output", "")
    theirs = "=" if call.purpose == VISITORS else "<>"
    row: tuple[int, int] = connection.execute(
        f"SELECT coalesce(sum({what}), 0), coalesce(sum(({what}) * (state = 'open')), 0) FROM call"  # noqa: S608 (constants)
        f" WHERE persona = ? AND day >= ? AND purpose {theirs} ?{of}",
        (call.persona, room.since, VISITORS, *([room.currency] if room.currency else [])),
    ).fetchone()
    return row
