"""What a turn asks about reminders: it is answered only while the turn is in hand, and only to her owner's."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable
from typing import Final, TypeAlias

import msgspec

from daemon.conversations.inbox import Inbox
from daemon.conversations.lane import Turn
from daemon.conversations.worker import Worker
from daemon.ledger import CANCEL, LedgerError, Reminder, ReminderAsked
from daemon.logging.log import Log
from daemon.reminders.service import NewReminder, ReminderRefused, Reminders, ReminderUnknown, TooManyReminders
from daemon.runtime.clock import Clock
from daemon.runtime.tasks import PersonaTasks
from proto.asking import DaemonAnswer
from proto.reminding import MOST_LISTED, CancelPlanned, ListPlanned, Planned, Remind

MOST_ASKED: Final = 32
"""Questions of one turn. A mind may use tools eight times in it; a message that joins lets it begin again."""

LISTED_CHARS: Final = 200
"""Characters of a body in a list: all of them together have to fit into one text."""

Question: TypeAlias = Remind | ListPlanned | CancelPlanned

_NOT_HERS: Final = "Reminders can only be asked for in a conversation with the person that she belongs to."
_TOO_OFTEN: Final = "That is too much for one answer: do the rest in the next one."
_TOO_MANY: Final = "There are as many appointments as there may be: cancel one that is not needed any more."
_GONE: Final = "There is no such appointment any more: it was told or cancelled, or never was. List those to come."
_NOT_NOW: Final = "It could not be written down, because the disk or its database fails. Tell the person."


class ReminderQuestions:
    """Answers the workers of all personas."""

    def __init__(self, reminders: Reminders, inbox: Inbox, tasks: PersonaTasks, clock: Clock, log: Log) -> None:
        self._reminders = reminders
        self._inbox = inbox
        self._tasks = tasks
        self._clock = clock
        self._log = log
        self._asked: dict[str, tuple[int, int]] = {}
        """By persona: her turn in hand, and how often it has asked."""

    def received(self, persona_id: str, worker: Worker, question: Question) -> None:
        """Answer a question, at once or when the ledger has. Never raises."""
        turn = self._inbox.owners_turn(persona_id, question.turn)
        if turn is None:
            self._log.warning("reminder.not_asked", persona=persona_id, turn=question.turn)
            worker.send(DaemonAnswer(question.call, error=_NOT_HERS))
            return
        number, count = self._asked.get(persona_id, (0, 0))
        count = count + 1 if number == turn.number else 1
        self._asked[persona_id] = turn.number, count
        if count > MOST_ASKED:
            worker.send(DaemonAnswer(question.call, error=_TOO_OFTEN))
            return
        self._tasks.of(persona_id).start(self._answer(persona_id, worker, question, turn))

    async def _answer(self, persona_id: str, worker: Worker, question: Question, turn: Turn) -> None:
        worker.send(await self._answered(question.call, self._done(persona_id, question, turn)))

    async def _answered(self, call: int, done: Awaitable[list[Planned]]) -> DaemonAnswer:
        try:
            rows = await done
        except TooManyReminders:
            return DaemonAnswer(call, error=_TOO_MANY)
        except ReminderUnknown:
            return DaemonAnswer(call, error=_GONE)
        except ReminderRefused as error:
            return DaemonAnswer(call, error=str(error))
        except LedgerError:
            return DaemonAnswer(call, error=_NOT_NOW)
        return DaemonAnswer(call, msgspec.json.encode(rows).decode())

    async def _done(self, persona_id: str, question: Question, turn: Turn) -> list[Planned]:
        perceptions, at = [item.perception.id for item in turn.items], self._clock.time_ns()
        match question:
            case Remind():
                asked = ReminderAsked(_key(question), perceptions, at)
                return [_planned(await self._reminders.add(persona_id, _new(question, turn), asked))]
            case CancelPlanned():
                if not question.id.isdecimal() or len(question.id) > 18:
                    raise ReminderUnknown(_GONE)
                asked = ReminderAsked(f"{CANCEL}{question.id}", perceptions, at)
                gone = await self._reminders.remove(persona_id, int(question.id), asked)
                return [_planned(gone, is_cancelled=True)]
            case ListPlanned():
                coming = [_planned(row) for row in await self._reminders.all(persona_id)]
                gone_rows = await self._reminders.removed(persona_id, perceptions)
                return [*coming[:MOST_LISTED], *(_planned(row, is_cancelled=True) for row in gone_rows[:MOST_ASKED])]


def _new(question: Remind, turn: Turn) -> NewReminder:
    return NewReminder(
        question.body,
        at=question.at,
        cron=question.cron,
        zone=question.zone,
        task=question.task,
        conversation=turn.conversation,
    )


def _key(question: Remind) -> str:
    """The same words make the same reminder, also when "in 20 minutes" is reckoned again a moment later."""
    body = " ".join(question.body.casefold().split()).strip(" .!")
    wording = " ".join(question.wording.casefold().split())
    told = msgspec.json.encode([body, wording, question.cron, question.task])
    return f"add {hashlib.sha256(told).hexdigest()}"


def _planned(row: Reminder, *, is_cancelled: bool = False) -> Planned:
    return Planned(str(row.id), row.body[:LISTED_CHARS], row.due, row.cron, row.zone, row.task, is_cancelled)
