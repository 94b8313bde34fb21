"""Reminders and routines, and the calendar; all work while she is stopped."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.api.bodies import Body
from daemon.api.errors import Unprocessable
from daemon.api.history import ChannelShown
from daemon.api.lookup import find_persona
from daemon.http.answers import Fault, json_response
from daemon.ledger import Ledger, Reminder
from daemon.personas.personas import Personas
from daemon.reminders import calendar, rules
from daemon.reminders.service import (
    MAX_BODY,
    NewReminder,
    ReminderChange,
    ReminderRefused,
    Reminders,
    ReminderUnknown,
    TooManyReminders,
)
from daemon.runtime.kept_clock import KeptClock
from proto.records import Persona
from proto.zones import zone_of

PATH: Final = "/api/persona/{persona_id}/reminders"
ReminderBody = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_BODY)]
Short = Annotated[str, msgspec.Meta(max_length=1024)]

_NO_DATES: Final = "start and end must be ISO dates"


class ReminderRequest(msgspec.Struct):
    """A new reminder: ``at`` for once, in ISO 8601, or a ``cron`` rule with five fields for a routine.

    ``zone`` is the IANA name of the rule's zone, and of a time without an offset; else it is her person's. ``channel``
    is a type, name or id. A ``task`` is for her mind. Quiet hours hold back what is ``quiet``: null means a routine.
    """

    body: ReminderBody
    at: Short | None = None
    cron: Short | None = None
    zone: Short | None = None
    channel: Short | None = None
    task: bool = False
    quiet: bool | None = None


class ReminderUpdate(msgspec.Struct):
    """Changes of a reminder; what is absent or null stays as it is."""

    body: ReminderBody | None = None
    at: Short | None = None
    cron: Short | None = None
    zone: Short | None = None
    channel: Short | None = None
    task: bool | None = None
    quiet: bool | None = None


class ReminderShown(msgspec.Struct):
    """A reminder that is to come; ``at`` is when it is due next. Times are ISO 8601 with the offset of its zone."""

    id: int
    body: str
    at: str
    cron: str | None
    zone: str
    channel: ChannelShown | None
    task: bool
    quiet: bool
    created: str
    told: int
    last_told: str | None


class CalendarEntry(msgspec.Struct):
    """What was said or told at a time."""

    time: str
    body: str


class ComingEntry(msgspec.Struct):
    """What is to come at a time; ``recurrence`` is a routine's rule."""

    time: str
    body: str
    recurrence: str | None


class CalendarHistory(msgspec.Struct):
    """What was said, and the routines and reminders that were told, at the times when they were meant."""

    conversation: list[CalendarEntry]
    schedule: list[CalendarEntry]
    reminder: list[CalendarEntry]


class CalendarDestiny(msgspec.Struct):
    """The routines with their repetitions, and the reminders, that are to come."""

    schedule: list[ComingEntry]
    reminder: list[ComingEntry]


class CalendarShown(msgspec.Struct):
    """Everything from ``start`` until before ``end``."""

    start: str
    end: str
    history: CalendarHistory
    destiny: CalendarDestiny


_NEW: Final = Body(ReminderRequest)
_UPDATE: Final = Body(ReminderUpdate)


class ReminderRoutes:
    """The routes of a persona's reminders and of her calendar."""

    def __init__(self, *, personas: Personas, reminders: Reminders, ledger: Ledger, clock: KeptClock) -> None:
        self._personas = personas
        self._reminders = reminders
        self._ledger = ledger
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        return [
            Route(PATH, self.list_reminders),
            Route(PATH, self.add, methods=["POST"]),
            Route(f"{PATH}/{{reminder_id}}", self.change, methods=["PATCH"]),
            Route(f"{PATH}/{{reminder_id}}", self.remove, methods=["DELETE"]),
            Route("/api/persona/{persona_id}/calendar", self.calendar),
        ]

    async def list_reminders(self, request: Request) -> Response:
        """``GET .../reminders``: those to come, the next one first."""
        persona = find_persona(self._personas, request)
        return json_response({"reminders": [_shown(row) for row in await self._reminders.all(persona.id)]})

    async def add(self, request: Request) -> Response:
        """``POST .../reminders``: 201 with the row."""
        persona = find_persona(self._personas, request)
        asked = await _NEW.read(request)
        new = NewReminder(
            body=asked.body,
            at=asked.at or "",
            cron=asked.cron or "",
            zone=asked.zone or "",
            channel=asked.channel or "",
            task=asked.task,
            quiet=asked.quiet,
        )
        try:
            row = await self._reminders.add(persona.id, new)
        except ReminderRefused as error:
            raise _refused(error) from error
        return json_response(_shown(row), 201)

    async def change(self, request: Request) -> Response:
        """``PATCH .../reminders/{reminder_id}``: the row as it is then."""
        persona = find_persona(self._personas, request)
        asked = await _UPDATE.read(request)
        change = ReminderChange(**msgspec.structs.asdict(asked))
        try:
            row = await self._reminders.change(persona.id, _number(request), change)
        except ReminderRefused as error:
            raise _refused(error) from error
        return json_response(_shown(row))

    async def remove(self, request: Request) -> Response:
        """``DELETE .../reminders/{reminder_id}``."""
        persona = find_persona(self._personas, request)
        try:
            row = await self._reminders.remove(persona.id, _number(request))
        except ReminderRefused as error:
            raise _refused(error) from error
        return json_response({"removed": row.id})

    async def calendar(self, request: Request) -> Response:
        """``GET .../calendar?start=&end=``: what was, and what is to come, in this half-open range."""
        persona = find_persona(self._personas, request)
        start, end = _range(request, persona)
        try:
            found = await calendar.between(self._ledger, persona.id, start, end, self._clock.present_ns())
        except calendar.RangeTooLong as error:
            raise Unprocessable([Fault("value_error", ("query", "end"), str(error))]) from error
        return json_response(_calendar_shown(found, start, end, persona))


def _calendar_shown(found: calendar.Calendar, start: int, end: int, persona: Persona) -> CalendarShown:
    def past(entries: list[calendar.Entry]) -> list[CalendarEntry]:
        return [CalendarEntry(_time(one.at, persona.zone), one.body) for one in entries]

    coming = [ComingEntry(_time(one.at, persona.zone), one.body, one.recurrence or None) for one in found.coming]
    return CalendarShown(
        start=_time(start, persona.zone),
        end=_time(end, persona.zone),
        history=CalendarHistory(past(found.said), past(found.repeated), past(found.kept)),
        destiny=CalendarDestiny(
            [one for one in coming if one.recurrence], [one for one in coming if not one.recurrence]
        ),
    )


def _range(request: Request, persona: Persona) -> tuple[int, int]:
    """Return the range that is asked for, dates being days of her person. Raises Unprocessable, 400."""
    given = {name: request.query_params.get(name) for name in ("start", "end")}
    if absent := [name for name, text in given.items() if text is None]:
        raise Unprocessable([Fault("missing", ("query", name), "Field required") for name in absent])
    try:
        start, end = (rules.moment(text or "", zone_of(persona.zone)) for text in given.values())
        for at in (start, end):
            _time(at, persona.zone)
    except (rules.BadRule, ValueError, OverflowError) as error:
        raise HTTPException(400, _NO_DATES) from error
    if end < start:
        raise Unprocessable([Fault("value_error", ("query", "end"), "end is before start: send the later one as end.")])
    if not 0 <= start <= end < 2**63:
        raise HTTPException(400, f"{_NO_DATES} from 1970 to 2262.")
    return start, end


def _shown(row: Reminder) -> ReminderShown:
    where = row.conversation
    return ReminderShown(
        id=row.id,
        body=row.body,
        at=_time(row.due, row.zone),
        cron=row.cron or None,
        zone=row.zone,
        channel=ChannelShown(where.type, where.name) if where else None,
        task=row.task,
        quiet=row.quiet,
        created=_time(row.created_at, row.zone),
        told=row.told,
        last_told=_time(row.told_at, row.zone) if row.told_at is not None else None,
    )


def _time(at: int, zone: str) -> str:
    when: datetime = rules.local(at, zone_of(zone))
    return when.isoformat(timespec="milliseconds" if when.microsecond else "seconds")


def _number(request: Request) -> int:
    text: str = request.path_params["reminder_id"]
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise HTTPException(404, "There is no such reminder: its id is a whole number, which GET lists.")
    return int(text)


def _refused(error: ReminderRefused) -> Exception:
    match error:
        case ReminderUnknown():
            return HTTPException(404, str(error))
        case TooManyReminders():
            return HTTPException(409, str(error))
    return Unprocessable([Fault("value_error", ("body", error.field) if error.field else ("body",), str(error))])
