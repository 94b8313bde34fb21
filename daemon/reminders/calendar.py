"""What was said and told between two points in time, and what is to come, with repetitions computed."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from daemon.ledger import Ledger, Reminder
from daemon.reminders import rules
from proto.zones import zone_of

MOST: Final = 5000
"""Entries of one kind in one answer."""


class Entry(msgspec.Struct, frozen=True):
    """Something at a point in time, in epoch nanoseconds; ``recurrence`` is a rule, "" for what comes once."""

    at: int
    body: str
    recurrence: str = ""


class Calendar(msgspec.Struct, frozen=True):
    """``said``, ``kept`` (told once) and ``repeated`` are past; ``coming`` is not told yet."""

    said: list[Entry]
    kept: list[Entry]
    repeated: list[Entry]
    coming: list[Entry]


class RangeTooLong(ValueError):
    """There is more between the two points in time than one answer may hold."""


async def between(ledger: Ledger, persona_id: str, start: int, end: int, now: int) -> Calendar:
    """Return what lies from ``start`` until before ``end``. Raises RangeTooLong, LedgerError."""
    said = await ledger.said_between(persona_id, start, end, MOST + 1)
    told = await ledger.tellings(persona_id, start, end, MOST + 1)
    rows = await ledger.reminders(persona_id)
    # Hundreds of rules that come seldom take a while.
    coming = await asyncio.to_thread(_coming, rows, start, end, now)
    if max(len(said), len(told), len(coming)) > MOST:
        raise RangeTooLong(f"There are more than {MOST} entries in this range: ask for a shorter one.")
    return Calendar(
        said=[Entry(line.at, line.content) for line in said],
        kept=[Entry(one.due, one.body) for one in told if not one.cron],
        repeated=[Entry(one.due, one.body) for one in told if one.cron],
        coming=coming,
    )


def _coming(rows: list[Reminder], start: int, end: int, now: int) -> list[Entry]:
    found: list[Entry] = []
    for row in rows:
        if start <= row.due < end:
            found.append(Entry(row.due, row.body, row.cron))
        if row.cron:
            # What was missed comes once, so of the past only the first time counts.
            for at in rules.coming(row.cron, zone_of(row.zone), max(row.due, now, start - 1)):
                if at >= end or len(found) > MOST:
                    break
                found.append(Entry(at, row.body, row.cron))
    return sorted(found, key=lambda entry: entry.at)
