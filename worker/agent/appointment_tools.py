"""The tools with which a mind makes, lists and cancels its person's appointments.

Models reckon badly with dates, and small ones more so: each tool takes a time in the words of the person, and answers
with the full date, so that the mind can tell the person what it has done.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from proto.reminding import Planned
from worker.organs.appointment_requests import plain
from worker.organs.english_parts import Reading, Unclear
from worker.organs.english_times import moment_of, read, rule_of
from worker.organs.english_words import DAYTIME
from worker.organs.subjects import about_alike
from worker.prompting.exchange import Parameter, Tool
from worker.prompting.planner import Planner
from worker.prompting.told_times import in_words, local
from worker.prompting.tools import Offer

REMIND: Final = Tool(
    "remind",
    "Remind the person once, at a time to come. Call it whenever they want to be reminded, woken or told something "
    "later: a promise alone reminds nobody. Then tell them the date and time that it answers.",
    (
        Parameter("body", "What they are to be told then, such as: water the fern."),
        Parameter(
            "when",
            "When, in the person's time zone. Best in their own words, such as: in 20 minutes; tomorrow at 8; on "
            "Friday at 18:30. Or in ISO 8601, such as 2026-12-01T08:00 or 2026-12-01T08:00:00+01:00.",
        ),
    ),
)
ROUTINE: Final = Tool(
    "routine",
    "Remind the person, or do something for them, again and again. Only when they ask for something that repeats.",
    (
        Parameter("body", "What they are to be told each time, or with task what you are to do each time."),
        Parameter(
            "rule",
            "How often, in the person's time zone, in plain English, such as: every weekday at 8; every Monday and "
            "Thursday at 18:30; on the 1st of each month at 9. Or a cron rule of five fields, such as 0 8 * * 1-5.",
        ),
        Parameter(
            "task",
            "yes if you yourself are to think and answer each time, such as: ask how they slept. no, or left out, if "
            "they are only told the body.",
            required=False,
        ),
    ),
)
APPOINTMENTS: Final = Tool(
    "appointments",
    "List what is planned for the person: all reminders and routines, with their ids and times.",
    (Parameter("about", "Words that must be in it. Leave it out for everything.", required=False),),
)
CANCEL: Final = Tool(
    "cancel",
    "Cancel one reminder or routine of the person. Only when they ask for it.",
    (Parameter("id", "Its id from appointments, such as 12; or words that only this one has, such as: the fern."),),
)

_CRON: Final = re.compile(r"[\d*/,LW#?-]+(?: +[\dA-Za-z*/,#?-]+){4}\Z")
_YES: Final = frozenset(("yes", "true", "1", "y", "task"))
_UNREAD: Final = (
    "Not done: the time {words!r} cannot be read. Give ISO 8601 such as 2026-12-01T08:00, or plain English such as: in "
    "20 minutes; tomorrow at 8; on 3 December at noon."
)


def appointment_offers(planner: Planner) -> list[Offer]:
    """Return the four tools of a turn of her owner."""
    uses = _Uses(planner)
    return [
        Offer(REMIND, uses.remind),
        Offer(ROUTINE, uses.routine),
        Offer(APPOINTMENTS, uses.appointments),
        Offer(CANCEL, uses.cancel),
    ]


class _Uses:
    def __init__(self, planner: Planner) -> None:
        self._planner = planner

    async def remind(self, texts: Mapping[str, str]) -> str:
        words = texts["when"]
        try:
            at = _moment(words, self._planner.begun)
        except Unclear as unclear:
            return f"Not done: {unclear}"
        if at is None:
            return _UNREAD.format(words=words[:80])
        made = await self._planner.remind(texts["body"], at, words)
        return f"Done. {self._told(made)} It is {in_words(self._planner.now())} now."

    async def routine(self, texts: Mapping[str, str]) -> str:
        words, is_task = texts["rule"], texts["task"].strip(" .").lower() in _YES
        try:
            cron = words if _CRON.match(words) else _rule(words, self._planner.begun)
        except Unclear as unclear:
            return f"Not done: {unclear} Or give a cron rule of five fields."
        return f"Done. {self._told(await self._planner.routine(texts['body'], cron, words, task=is_task))}"

    async def appointments(self, texts: Mapping[str, str]) -> str:
        planned = [one for one in await self._planner.all() if not one.cancelled]
        shown = about_alike(planned, texts["about"], self._planner)
        if not shown:
            return "Nothing is planned." if not planned else f"Nothing like that. All: {self._listed(planned)}"
        return self._listed(shown)

    async def cancel(self, texts: Mapping[str, str]) -> str:
        wanted = texts["id"].removeprefix("#").strip()
        if not wanted.isdecimal():
            planned = await self._planner.all()
            found = about_alike(planned, wanted, self._planner)
            if len(found) != 1:
                return f"Not done: give one id of these. {self._listed(found or planned)}"
            wanted = found[0].id
        return f"Cancelled. {self._told(await self._planner.cancel(wanted))}"

    def _listed(self, planned: list[Planned]) -> str:
        return "\n".join(map(self._told, planned)) or "Nothing is planned."

    def _told(self, one: Planned) -> str:
        state = " (cancelled)" if one.cancelled else ""
        return f"id {one.id}{state}: {self._planner.told(one)}{', a task of yours' if one.task else ''}."


def _moment(words: str, begun: datetime) -> datetime | None:
    """Return the moment that a mind means, or None when it cannot be read. Raises Unclear."""
    try:
        found = datetime.fromisoformat(words)
    except ValueError:
        said = _read(words, begun)
        if said and said.rule:
            raise Unclear("that repeats. Use routine for it.") from None
        return moment_of(said, begun) if said else None
    if len(words) <= len("2026-12-01"):
        found = datetime.combine(found.date(), DAYTIME)
    try:
        return found if found.tzinfo else local(found, begun)
    except OverflowError:
        return None


def _rule(words: str, begun: datetime) -> str:
    said = _read(words, begun)
    if said and said.rule:
        return rule_of(said)
    if said:
        raise Unclear("that does not repeat. Use remind for it, or say every day, every Monday and so on.")
    raise Unclear(f"the rule {words[:80]!r} cannot be read. Say it like: every weekday at 8.")


def _read(words: str, begun: datetime) -> Reading | None:
    phrase = plain(words).lower().strip(" ,.!")
    return read(phrase, begun.date()) or read(f"at {phrase}", begun.date())
