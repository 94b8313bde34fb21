"""Her person's appointments, as a turn makes, lists and cancels them. The daemon keeps them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, TypeAlias

import msgspec

from proto.messages import FromWorker
from proto.reminding import BODY_CHARS, CancelPlanned, ListPlanned, Planned, Remind
from worker.base.organ_errors import OrganUnreachable
from worker.prompting.rules import rule_in_words
from worker.prompting.told_times import day_and_time, in_words, moment, zone_name

Ask: TypeAlias = Callable[[Callable[[int], FromWorker]], Awaitable[str]]
"""Sends the question that is made with a number, and returns the answer's text. Raises OrganUnreachable."""

WORDING_CHARS: Final = 300
SHOWN_CHARS: Final = 300
"""Characters of what a reminder says, when several are listed."""


class Planner:
    """The appointments of one turn's person. Every question raises OrganUnreachable with what is to be done.

    ``begun`` is when the words were said that the turn answers, in the person's zone: spans of time count from there,
    so that they mean the same when the turn is repeated.
    """

    def __init__(self, ask: Ask, turn: int, begun: datetime, now: Callable[[], datetime]) -> None:
        self._ask = ask
        self._turn = turn
        self.begun = begun
        self.now = now

    async def remind(self, body: str, at: datetime, wording: str, *, task: bool = False) -> Planned:
        """Make a reminder. ``wording`` is the time in the words that were used. For ``task`` see ``routine``."""
        if at <= self.now():
            raise OrganUnreachable(f"That is past: it is {in_words(self.now())} now, and that was {in_words(at)}.", "")
        return await self._make(body, wording, at=at.isoformat(), task=task)

    async def routine(self, body: str, cron: str, wording: str, *, task: bool) -> Planned:
        """Make a routine. With ``task`` her mind does each time what the body says."""
        return await self._make(body, wording, cron=cron, task=task)

    async def all(self) -> list[Planned]:
        """Return what is still to come, the soonest first."""
        return await self._planned(lambda call: ListPlanned(call, self._turn))

    async def cancel(self, number: str) -> Planned:
        """Cancel the appointment with this id."""
        return (await self._planned(lambda call: CancelPlanned(call, self._turn, number[:64])))[0]

    def told(self, one: Planned) -> str:
        """Return an appointment in a line: what it says, and when it comes."""
        return f"{_short(one.body)}: {self.when(one)}"

    def when(self, one: Planned) -> str:
        """Return when an appointment comes, in the person's zone; a routine's rule means its own."""
        if not one.cron:
            return in_words(moment(one.due, self.begun))
        zone = f" ({one.zone})" if one.zone and one.zone != zone_name(self.begun) else ""
        return f"{rule_in_words(one.cron)}{zone}, next on {in_words(moment(one.due, self.begun))}"

    async def _make(self, body: str, wording: str, *, at: str = "", cron: str = "", task: bool = False) -> Planned:
        words = body.strip()
        if not words:
            raise OrganUnreachable("It does not say what the reminder is about.", "")
        if len(words) > BODY_CHARS:
            raise OrganUnreachable(f"That is too long for a reminder: {BODY_CHARS} characters are the most.", "")
        made = await self._planned(
            lambda call: Remind(call, self._turn, words, wording[:WORDING_CHARS], at, cron, task=task)
        )
        return made[0]

    async def _planned(self, question: Callable[[int], FromWorker]) -> list[Planned]:
        return msgspec.json.decode(await self._ask(question), type=list[Planned])


def agenda(planned: list[Planned], now: datetime) -> str:
    """Return the next appointments for a prompt, a line for each."""
    return "\n".join(f"- {day_and_time(moment(one.due, now))}: {_line(one)}" for one in planned)


def _line(one: Planned) -> str:
    kind = f" ({'a task of yours' if one.task else 'a routine'}, {rule_in_words(one.cron)})" if one.cron else ""
    return f"{_short(one.body)}{kind}"


def _short(body: str) -> str:
    line = " ".join(body.split())
    return line if len(line) <= SHOWN_CHARS else f"{line[:SHOWN_CHARS]} ..."
