"""What a turn may ask about reminders: only while it is in hand, only her owner's, and each thing once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

import msgspec

from daemon.conversations.inbox import Inbox
from daemon.conversations.lane import Turn
from daemon.ledger import Waiting
from daemon.reminders.questions import MOST_ASKED, Question, ReminderQuestions
from daemon.runtime.tasks import PersonaTasks
from proto.asking import DaemonAnswer
from proto.gateways import GatewayState
from proto.messages import Conversation, Perception
from proto.reminding import CancelPlanned, ListPlanned, Planned, Remind
from tests.daemon.reminders.stage import EVE, Stage, play

WEB: Final = Conversation("web", EVE)
SOON: Final = "2026-12-01T08:00:00+00:00"


class InHand:
    """An inbox that has one turn of her owner in hand, or none."""

    def __init__(self, number: int, perceptions: Sequence[int]) -> None:
        items = [Waiting(Perception(one, "text", "words", 1), WEB, 0) for one in perceptions]
        self._turn = Turn(number, WEB, items, 0.0)

    def owners_turn(self, _persona: str, turn: int) -> Turn | None:
        return self._turn if turn == self._turn.number else None


class Asking:
    """A worker that has this turn of her owner's in hand."""

    def __init__(self, stage: Stage, turn: int = 1, perceptions: Sequence[int] = (5,)) -> None:
        self.gateways: list[GatewayState] = []
        self.answers: list[DaemonAnswer] = []
        self._tasks = PersonaTasks(stage.clock, stage.log)
        inbox = cast("Inbox", InHand(turn, perceptions))
        self._questions = ReminderQuestions(stage.reminders, inbox, self._tasks, stage.clock, stage.log)

    def send(self, message: msgspec.Struct) -> None:
        assert isinstance(message, DaemonAnswer)
        self.answers.append(message)

    async def ask(self, question: Question) -> DaemonAnswer:
        """Ask, and wait for the answer."""
        self._questions.received(EVE, self, question)
        await self._tasks.of(EVE).end([*self._tasks.of(EVE)._tasks])
        return self.answers[-1]

    async def got(self, question: Question) -> list[Planned]:
        """Ask, and return what the answer holds."""
        answer = await self.ask(question)
        assert not answer.error, answer.error
        return msgspec.json.decode(answer.text, type=list[Planned])
