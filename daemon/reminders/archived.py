"""Reminders in an export: what is to come, and comes back with her.

What was due between export and restore is not told after it: she, or her copy on another machine, told it already. A
routine goes on with its next time.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from daemon.ledger import Reminder
from daemon.reminders import rules
from daemon.reminders.service import MAX_BODY
from proto.messages import Conversation
from proto.zones import UnknownZone, zone_of

Moment = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class ArchivedReminder(msgspec.Struct, frozen=True):
    """A reminder or, with a ``cron`` rule, a routine; times are epoch nanoseconds.

    ``conversation`` has the type, name, channel and chat where it was asked for.
    """

    body: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_BODY)]
    cron: str
    zone: str
    due: Moment
    conversation: Conversation | None
    task: bool
    quiet: bool
    created_at: Moment
    told: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    told_at: Moment | None = None


class NotRestored(ValueError):
    """It does not come back; the text says why."""


def archived(row: Reminder) -> ArchivedReminder:
    """Return a reminder as an archive holds it."""
    return ArchivedReminder(
        row.body,
        row.cron,
        row.zone,
        row.due,
        row.conversation,
        row.task,
        row.quiet,
        row.created_at,
        row.told,
        row.told_at,
    )


def restored(one: ArchivedReminder, persona_id: str, old_id: str, now: int) -> Reminder:
    """Return her reminder as it goes on from ``now``. Raises NotRestored."""
    where, due = one.conversation, one.due
    if where and (where.type, where.name) == ("web", old_id):
        where = msgspec.structs.replace(where, name=persona_id)
    try:
        zone = zone_of(one.zone)
        if one.cron:
            due = rules.next_after(rules.check_rule(one.cron), zone, max(now, one.due - 1)) or 0
    except (UnknownZone, rules.BadRule) as error:
        raise NotRestored(str(error)) from error
    if due <= now or due - now > rules.MAX_AHEAD:
        raise NotRestored("its time has passed" if due <= now else "its time is more than a hundred years ahead")
    return Reminder(
        id=0,
        persona=persona_id,
        body=one.body,
        cron=one.cron,
        zone=one.zone,
        due=due,
        wake=due,
        conversation=where,
        task=one.task,
        quiet=one.quiet,
        created_at=one.created_at,
        told=one.told,
        told_at=one.told_at,
    )
