"""Adds, changes and removes reminders and routines; ``daemon/reminders/due.py`` tells them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from daemon.conversations.agenda import Agenda
from daemon.ledger import Ledger, Reminder, ReminderAsked
from daemon.personas.personas import Personas
from daemon.reminders import places, rules
from daemon.runtime.kept_clock import KeptClock
from proto.messages import Conversation
from proto.records import Persona
from proto.zones import UnknownZone, machine_zone, zone_of

MAX_BODY: Final = 2000
"""Characters."""

MOST: Final = 500
"""Reminders and routines that one persona may have at a time."""

TRIES: Final = 8
"""How often a change is tried on a row that is told at the same moment."""


class NewReminder(msgspec.Struct, frozen=True):
    """What is asked for. Exactly one of ``at`` and ``cron`` is given.

    ``at`` is ISO 8601; a time without an offset is one in ``zone``, which is her person's unless it is named.
    ``conversation`` is where it is asked for; ``channel`` names another one by type, name or id. A ``task`` is for her
    mind. Quiet hours hold back what is ``quiet``; None means routines only.
    """

    body: str
    at: str = ""
    cron: str = ""
    zone: str = ""
    channel: str = ""
    task: bool = False
    quiet: bool | None = None
    conversation: Conversation | None = None


class ReminderChange(msgspec.Struct, frozen=True):
    """What is to change; None leaves a field as it is."""

    body: str | None = None
    at: str | None = None
    cron: str | None = None
    zone: str | None = None
    channel: str | None = None
    task: bool | None = None
    quiet: bool | None = None


class ReminderRefused(ValueError):
    """It cannot be taken; the text says what to do. ``field`` is the one that is wrong, "" if it is not one alone."""

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(text)
        self.field = field


class ReminderUnknown(ReminderRefused):
    """There is no such reminder, or no such persona."""


class TooManyReminders(ReminderRefused):
    """She has as many as she may have."""


class Reminders:
    """Calls ``changed`` when another reminder may be due next. Every method raises LedgerError.

    A turn that may be repeated says what it ``asked``, and gets the same again.
    """

    def __init__(
        self, ledger: Ledger, personas: Personas, agenda: Agenda, changed: Callable[[], None], clock: KeptClock
    ) -> None:
        self._ledger = ledger
        self._personas = personas
        self._agenda = agenda
        self._changed = changed
        self._clock = clock

    async def all(self, persona_id: str) -> list[Reminder]:
        """Return her reminders that are to come, the next one first."""
        return await self._ledger.reminders(persona_id)

    async def removed(self, persona_id: str, perceptions: list[int]) -> list[Reminder]:
        """Return what the turn of these perceptions has removed so far."""
        return await self._ledger.reminders_removed(persona_id, perceptions)

    async def add(self, persona_id: str, new: NewReminder, asked: ReminderAsked | None = None) -> Reminder:
        """Keep a reminder. Raises ReminderRefused."""
        if asked and (found := await self._ledger.reminder_asked(persona_id, asked)):
            # It may be past by now, and is no less kept or told.
            return found
        persona, now = self._persona(persona_id), self._clock.present_ns()
        if bool(new.at) == bool(new.cron):
            raise ReminderRefused("Send either at, for once, or cron, for a routine.")
        zone = _zone(new.zone or persona.zone)
        cron = _rule(new.cron) if new.cron else ""
        due = _next(cron, zone, now) if cron else _moment(new.at, zone, now)
        conversation = await self._named(persona, new.channel) if new.channel else new.conversation
        quiet = bool(cron) if new.quiet is None else new.quiet
        body, at = _body(new.body), self._clock.time_ns()
        row = Reminder(0, persona_id, body, cron, zone, due, due, conversation, new.task, quiet, at)
        kept = self._ledger.add_reminder_once(row, MOST, asked) if asked else self._ledger.add_reminder(row, MOST)
        added = await kept
        if added is None:
            raise TooManyReminders(f"She has {MOST} reminders already: remove one that is not needed any more.")
        await self._follow(persona_id)
        return added

    async def change(self, persona_id: str, reminder: int, change: ReminderChange) -> Reminder:
        """Change a reminder that is still to come. Raises ReminderRefused."""
        persona = self._persona(persona_id)
        conversation = await self._named(persona, change.channel) if change.channel else None
        for _ in range(TRIES):
            old = await self._ledger.reminder(persona_id, reminder)
            if old is None:
                raise _unknown()
            new = _changed(old, change, conversation, self._clock.present_ns())
            if await self._ledger.change_reminder(old, new):
                await self._follow(persona_id)
                return new
        raise ReminderRefused("It is being told at this moment: send the change once more.")

    async def remove(self, persona_id: str, reminder: int, asked: ReminderAsked | None = None) -> Reminder:
        """Remove a reminder and return it. Raises ReminderUnknown."""
        self._persona(persona_id)
        if asked:
            found = await self._ledger.remove_reminder_once(persona_id, reminder, asked)
        else:
            found = await self._ledger.remove_reminder(persona_id, reminder)
        if found is None:
            raise _unknown()
        await self._follow(persona_id)
        return found

    async def _follow(self, persona_id: str) -> None:
        await self._agenda.refresh(persona_id)
        self._changed()

    def _persona(self, persona_id: str) -> Persona:
        persona = self._personas.get(persona_id)
        if persona is None:
            raise ReminderUnknown("Persona not found.")
        return persona

    async def _named(self, persona: Persona, channel: str) -> Conversation:
        try:
            return places.named(await places.known(self._ledger, persona), channel)
        except places.NoSuchChannel as error:
            raise ReminderRefused(str(error), "channel") from error


def _changed(old: Reminder, change: ReminderChange, conversation: Conversation | None, now: int) -> Reminder:
    if change.at and change.cron:
        raise ReminderRefused("Send either at, for once, or cron, for a routine.")
    zone = _zone(change.zone) if change.zone else old.zone
    cron = _rule(change.cron) if change.cron else "" if change.at else old.cron
    if change.at:
        due = _moment(change.at, zone, now)
    elif cron != old.cron or (cron and zone != old.zone):
        due = _next(cron, zone, now)
    else:
        due = old.due
    return msgspec.structs.replace(
        old,
        body=old.body if change.body is None else _body(change.body),
        cron=cron,
        zone=zone,
        due=due,
        # What quiet hours hold back is looked at once more.
        wake=due,
        conversation=conversation or old.conversation,
        task=old.task if change.task is None else change.task,
        quiet=old.quiet if change.quiet is None else change.quiet,
    )


def _body(text: str) -> str:
    body = text.strip()
    if not body:
        raise ReminderRefused("body is empty: send what is to be told.", "body")
    if len(body) > MAX_BODY:
        raise ReminderRefused(f"body is too long: send at most {MAX_BODY} characters.", "body")
    return body


def _zone(name: str) -> str:
    try:
        return zone_of(name or machine_zone()).key
    except UnknownZone as error:
        raise ReminderRefused(f"zone cannot be taken. {error}", "zone") from error


def _rule(text: str) -> str:
    try:
        return rules.check_rule(text)
    except rules.BadRule as error:
        raise ReminderRefused(str(error), "cron") from error


def _next(cron: str, zone: str, now: int) -> int:
    due = rules.next_after(cron, zone_of(zone), now)
    if due is None:
        raise ReminderRefused("cron never comes: there is no such day. Correct its day, month or day of week.", "cron")
    return due


def _moment(text: str, zone: str, now: int) -> int:
    try:
        due = rules.moment(text, zone_of(zone))
    except rules.BadRule as error:
        raise ReminderRefused(str(error), "at") from error
    if due <= now:
        shown = rules.local(now, zone_of(zone)).isoformat(timespec="seconds")
        raise ReminderRefused(f"at is in the past: it is {shown} now. Send a later time.", "at")
    if due - now > rules.MAX_AHEAD:
        raise ReminderRefused("at is more than a hundred years ahead: send an earlier time.", "at")
    return due


def _unknown() -> ReminderUnknown:
    return ReminderUnknown("There is no such reminder: it was told or removed, or never was. GET lists those to come.")
