"""What a turn may ask about reminders: only while it is in hand, only her owner's, and each thing once."""

from __future__ import annotations

import asyncio
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
        self.answers: asyncio.Queue[DaemonAnswer] = asyncio.Queue()
        self._tasks = PersonaTasks(stage.clock, stage.log)
        inbox = cast("Inbox", InHand(turn, perceptions))
        self._questions = ReminderQuestions(stage.reminders, inbox, self._tasks, stage.clock, stage.log)

    def send(self, message: msgspec.Struct) -> None:
        assert isinstance(message, DaemonAnswer)
        self.answers.put_nowait(message)

    async def ask(self, question: Question) -> DaemonAnswer:
        """Ask, and wait for the answer."""
        self._questions.received(EVE, self, question)
        return await self.answers.get()

    async def got(self, question: Question) -> list[Planned]:
        """Ask, and return what the answer holds."""
        answer = await self.ask(question)
        assert not answer.error, answer.error
        return msgspec.json.decode(answer.text, type=list[Planned])


def test_a_turn_makes_lists_and_cancels(tmp_path: Path) -> None:
    """What is made is told where it was asked for; what is cancelled is listed as such in this turn only."""

    async def scene(stage: Stage) -> None:
        stage.set("2026-11-27T08:00:00")
        asking = Asking(stage)
        (fern,) = await asking.got(Remind(1, 1, "water the fern", "soon", at=SOON))
        (row,) = await stage.reminders.all(EVE)
        assert (str(row.id), row.body, row.due, row.conversation) == (fern.id, "water the fern", fern.due, WEB)
        (pills,) = await asking.got(Remind(2, 1, "pills", "every day", cron="0 8 * * *", task=True))
        assert (pills.cron, pills.task, pills.cancelled) == ("0 8 * * *", True, False)
        assert [one.body for one in await asking.got(ListPlanned(3, 1))] == ["pills", "water the fern"]
        assert [one.body for one in stage.agenda.next(EVE)] == ["pills", "water the fern"]
        (gone,) = await asking.got(CancelPlanned(4, 1, fern.id))
        assert (gone.id, gone.cancelled) == (fern.id, True)
        assert [(one.body, one.cancelled) for one in await asking.got(ListPlanned(5, 1))] == [
            ("pills", False),
            ("water the fern", True),
        ]
        assert [one.body for one in await Asking(stage, 2, [6]).got(ListPlanned(1, 2))] == ["pills"]
        assert [one.body for one in stage.agenda.next(EVE)] == ["pills"]

    play(tmp_path, scene)


def test_a_repeated_turn_makes_nothing_twice(tmp_path: Path) -> None:
    """After a kill its messages come back in other company, or alone: the same words get the same reminder."""

    async def scene(stage: Stage) -> None:
        stage.set("2026-11-27T08:00:00")
        (first,) = await Asking(stage, 1, [5, 6]).got(Remind(1, 1, "Water the fern.", "in 2 minutes", at=SOON))
        for turn, perceptions in ((2, [5]), (3, [6]), (4, [6, 7]), (1, [5, 6])):
            again = await Asking(stage, turn, perceptions).got(
                Remind(1, turn, "water the fern", "In 2 minutes", at="2026-12-01T08:00:01+00:00")
            )
            assert again == [first]
        assert len(await stage.reminders.all(EVE)) == 1
        # Other words, another time, or another message are another reminder.
        for number, question in enumerate(
            (
                Remind(1, 1, "water the palm", "in 2 minutes", at=SOON),
                Remind(1, 1, "Water the fern.", "in 3 minutes", at=SOON),
            ),
            2,
        ):
            await Asking(stage, 1, [5, 6]).got(question)
            assert len(await stage.reminders.all(EVE)) == number
        await Asking(stage, 9, [9]).got(Remind(1, 9, "Water the fern.", "in 2 minutes", at=SOON))
        assert len(await stage.reminders.all(EVE)) == 4

    play(tmp_path, scene)


def test_what_is_past_or_cancelled_by_then_is_answered_again(tmp_path: Path) -> None:
    """A turn that is repeated late gets what it got: no refusal of a time that is past, no error for what is gone."""

    async def scene(stage: Stage) -> None:
        stage.set("2026-12-01T07:59:00")
        question = Remind(1, 1, "water the fern", "at 8", at=SOON)
        (fern,) = await Asking(stage).got(question)
        stage.set("2026-12-01T09:00:00")
        assert await Asking(stage).got(question) == [fern]
        (gone,) = await Asking(stage).got(CancelPlanned(2, 1, fern.id))
        assert await Asking(stage).got(CancelPlanned(2, 1, fern.id)) == [gone]
        assert await stage.reminders.all(EVE) == []
        # Another turn learns that it is gone.
        assert "no such appointment" in (await Asking(stage, 2, [8]).ask(CancelPlanned(1, 2, fern.id))).error

    play(tmp_path, scene)


def test_only_the_turn_in_hand_may_ask(tmp_path: Path) -> None:
    """A visitor's turn, a turn that is over, and a number that was made up get nothing, whatever the worker sends."""

    async def scene(stage: Stage) -> None:
        asking = Asking(stage, 1)
        await asking.got(Remind(1, 1, "water the fern", "soon", at="2100-01-01T08:00:00+00:00"))
        for question in (
            Remind(2, 7, "mine", "soon", at=SOON),
            ListPlanned(3, 7),
            CancelPlanned(4, 7, "1"),
        ):
            answer = await asking.ask(question)
            assert (answer.call, answer.text) == (question.call, "")
            assert "the person that she belongs to" in answer.error
        assert [one.body for one in await stage.reminders.all(EVE)] == ["water the fern"]

    play(tmp_path, scene)


def test_a_turn_has_a_bound(tmp_path: Path) -> None:
    """A mind that asks without end is told to stop, and the next turn may ask again."""

    async def scene(stage: Stage) -> None:
        asking = Asking(stage)
        for _ in range(MOST_ASKED):
            await asking.got(ListPlanned(1, 1))
        assert "too much for one answer" in (await asking.ask(ListPlanned(2, 1))).error

    play(tmp_path, scene)


def test_refusals_say_what_to_do(tmp_path: Path) -> None:
    """The service's words, for a mind that reads them."""

    async def scene(stage: Stage) -> list[str]:
        stage.set("2026-12-02T08:00:00")
        asking = Asking(stage)
        questions: list[Question] = [
            Remind(1, 1, "late", "then", at=SOON),
            Remind(2, 1, "never", "then", cron="0 8 31 2 *"),
            Remind(3, 1, "odd", "then", cron="nonsense"),
            Remind(4, 1, "both", "then", at=SOON, cron="0 8 * * *"),
            CancelPlanned(5, 1, "99"),
            CancelPlanned(6, 1, "the fern"),
            CancelPlanned(7, 1, "9" * 100),
        ]
        return [(await asking.ask(question)).error for question in questions]

    late, never, odd, both, *unknown = play(tmp_path, scene)
    assert late.startswith("at is in the past: it is 2026-12-02T08:00:")
    assert never.startswith("cron cannot be taken")
    assert odd.startswith("cron needs five fields")
    assert both == "Send either at, for once, or cron, for a routine."
    assert all("no such appointment" in text for text in unknown)
