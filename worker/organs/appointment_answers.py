"""Answers to what a person asks about appointments in plain English. They are made, listed and cancelled on the way."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from proto.messages import Line
from proto.reminding import Planned
from worker.base.organ_errors import OrganUnreachable
from worker.organs.appointment_requests import (
    ASKS_WHEN,
    Cancelled,
    Listed,
    Request,
    Unread,
    Wanted,
    completed,
    plain,
    request_of,
)
from worker.organs.english_parts import Unclear
from worker.organs.english_times import moment_of, read, rule_of
from worker.organs.statements import stated
from worker.organs.subjects import about_alike, numbered
from worker.prompting.perceived import own_words
from worker.prompting.planner import Planner
from worker.prompting.prompt import Prompt
from worker.prompting.told_times import moment

MOST_SHOWN: Final = 10
"""Appointments in one answer."""

NOT_YOURS: Final = "I keep appointments only for the person that I belong to."
NOTHING: Final = "Nothing is planned. Say, for example: remind me tomorrow at 8 to water the fern."
WHICH: Final = "Which one shall I cancel?"

_SENTENCES: Final = re.compile(r"(?<=[.!?])\s+|\n+")
_MERIDIEM: Final = re.compile(r"(?i)(\d) ?([ap])\.m\.")


class Said(NamedTuple):
    """What she answers about appointments, and the sentences that are about something else."""

    answer: str
    rest: list[str]


async def answered(words: str, prompt: Prompt, planner: Planner | None) -> Said | None:
    """Answer a message, or return None when nothing in it is about appointments.

    ``planner`` is None when this conversation has none.
    """
    own, history, today = own_words(words), prompt.history, prompt.now.date()
    if planner is None:
        asks = any(isinstance(request_of(one, today), Wanted | Listed) for one in _sentences(own))
        return Said(NOT_YOURS, []) if asks and prompt.visitor is not None else None
    answers, rest = list[str](), list[str]()
    for sentence in _sentences(own):
        request = request_of(sentence, planner.begun.date()) or _follows(sentence, history, planner)
        if request is None:
            rest.append(sentence)
        else:
            answers.append(await _done(request, history, planner))
    if not answers:
        return None
    # A greeting beside a request needs no answer of its own.
    left = [one for one in rest if one.rstrip().endswith("?") or any(stated(one))]
    return Said("\n\n".join(dict.fromkeys(answers)), left)


def _sentences(text: str) -> list[str]:
    return [one for one in _SENTENCES.split(_MERIDIEM.sub(r"\1 \2m", text)) if one.strip()]


def _follows(sentence: str, history: list[Line], planner: Planner) -> Request | None:
    """Return the request that answers what she asked just before: when, or which one."""
    if not history or history[-1].role != "assistant":
        return None
    asked = history[-1].content
    if asked.startswith(WHICH):
        return Cancelled(sentence)
    if not asked.startswith(ASKS_WHEN):
        return None
    said = next((line for line in reversed(history) if line.role == "person"), None)
    today = planner.begun.date()
    for before in _sentences(own_words(said.perceived or said.content)) if said else []:
        if isinstance(request_of(before, today), Unread):
            return completed(before, sentence, today)
    return None


async def _done(request: Request, history: list[Line], planner: Planner) -> str:
    try:
        match request:
            case Unread():
                return request.answer
            case Wanted():
                return await _made(request, planner)
            case Listed():
                return _listed(await planner.all(), request.about, planner)
            case Cancelled():
                return await _cancelled(request.about, history, planner)
    except Unclear as unclear:
        return str(unclear)
    except OrganUnreachable as error:
        return f"I could not do that. {error.reason}"


async def _made(wanted: Wanted, planner: Planner) -> str:
    if wanted.said.rule:
        made = await planner.routine(wanted.body, rule_of(wanted.said), wanted.wording, task=wanted.task)
    else:
        at = moment_of(wanted.said, planner.begun, wakes=wanted.wakes)
        made = await planner.remind(wanted.body, at, wanted.wording, task=wanted.task)
    what = "I will do this" if made.task else "I will remind you"
    return f"{what} {planner.when(made) if made.cron else f'on {planner.when(made)}'}: {made.body}."


def _listed(planned: list[Planned], about: str, planner: Planner) -> str:
    coming = [one for one in planned if not one.cancelled]
    if not coming:
        return NOTHING
    if about:
        shown = _on_day(coming, about, planner) if _is_time(about, planner) else about_alike(coming, about, planner)
        if not shown:
            return f"Nothing is planned for that. {_several('Planned is:', coming, planner)}"
        return _several("Planned is:", shown, planner)
    return _several("Planned is:", coming, planner)


def _is_time(about: str, planner: Planner) -> bool:
    try:
        return about == "this week" or read(about.lower(), planner.begun.date()) is not None
    except Unclear:
        return False


def _on_day(planned: list[Planned], about: str, planner: Planner) -> list[Planned]:
    today = planner.begun.date()
    said = read(about.lower(), today) if about != "this week" else None
    first = said.day if said and said.day else today
    is_week = about in ("this week", "next week")
    days = range(first.toordinal(), first.toordinal() + (7 - first.weekday() if is_week else 1))
    return [one for one in planned if moment(one.due, planner.begun).toordinal() in days]


async def _cancelled(about: str, history: list[Line], planner: Planner) -> str:
    planned = await planner.all()
    if not planned:
        return NOTHING
    found = numbered(planned, about, history, planner) or about_alike(planned, about, planner)
    open_ones = [one for one in found if not one.cancelled]
    if len(found) != 1 and len(open_ones) != 1:
        if not open_ones:
            wished = plain(about).strip(" .!?")
            return f"Nothing is planned about {wished!r}. {_several('Planned is:', _open(planned), planner)}"
        return _several(WHICH, open_ones, planner)
    gone = await planner.cancel((open_ones or found)[0].id)
    return f"It is cancelled: {gone.body} ({planner.when(gone)})."


def _open(planned: list[Planned]) -> list[Planned]:
    return [one for one in planned if not one.cancelled]


def _several(opening: str, planned: list[Planned], planner: Planner) -> str:
    if not planned:
        return "Nothing else is planned."
    lines = [f"{number}. {planner.told(one)}" for number, one in enumerate(planned[:MOST_SHOWN], 1)]
    more = len(planned) - MOST_SHOWN
    return "\n".join([opening, *lines, *([f"... and {more} more."] if more > 0 else [])])
