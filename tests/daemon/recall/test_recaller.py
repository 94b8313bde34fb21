"""What a turn and a mind that asks get: passages, or a refusal that says what to ask instead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
import pytest

from daemon.conversations.lane import Turn
from daemon.conversations.recaller import MOST_ASKED, TOO_OFTEN, UNKNOWN_TURN, Recaller
from daemon.ledger import ArchivedLine, Ledger
from daemon.ledger.archive import ArchivedChannel
from daemon.personas.personas import Personas
from daemon.recall import service
from proto.asking import DaemonAnswer
from proto.messages import Conversation
from proto.recalling import Passage, Recall
from tests.daemon.fakes.recalling import by_words
from tests.daemon.supervision.played import ManualClock, log_to

EVE: Final = "00000000-0000-4000-8000-0000000000e5"
WEB: Final = Conversation("web", EVE)
TURN: Final = Turn(7, WEB, [], 0.0)
DAY: Final = 24 * 3600
NOW: Final = 1_795_780_800
"""Friday, 27 November 2026, 12:00 UTC."""


@pytest.fixture
async def recaller(tmp_path: Path) -> AsyncIterator[Recaller]:
    """Recall for a persona who was told of a fern each year on this day, and yesterday."""
    ledger = await Ledger.open(tmp_path / "ledger.db")
    channel = ArchivedChannel("web", EVE)
    days = ((3 * 365, "a fern in 2023"), (365, "a fern in 2025"), (1, "a fern yesterday"))
    lines = [ArchivedLine("person", words, (NOW - ago * DAY) * 10**9, channel) for ago, words in days]
    await ledger.put_back(EVE, lines)
    clock = ManualClock()
    clock.now = float(NOW)
    with log_to(tmp_path / "log") as log:
        yield by_words(ledger, Personas(tmp_path / "personas", log), clock, log)
    await ledger.close()


async def asked(recaller: Recaller, turn: Turn | None, query: str, since: str = "", until: str = "") -> DaemonAnswer:
    """The daemon's answer to a mind that asks."""
    answers: list[msgspec.Struct] = []
    await recaller.answer(EVE, Recall(1, 7, query, since, until), turn, answers.append)
    [answer] = answers
    assert isinstance(answer, DaemonAnswer)
    return answer


def said(answer: DaemonAnswer) -> list[str]:
    return [one.content for one in msgspec.json.decode(answer.text, type=list[Passage])]


async def test_a_named_time_comes_first(recaller: Recaller) -> None:
    """What was said then, and then what was said at other times."""
    found = await recaller.passages(EVE, WEB, ["What did I say about the fern in 2023?"], 0)
    assert [one.content for one in found] == ["a fern in 2023", "a fern yesterday", "a fern in 2025"]


@pytest.mark.parametrize("words", [[], [""], ["  "], ["\0"], ["😀"]])
async def test_no_words_find_nothing(recaller: Recaller, words: list[str]) -> None:
    """A file without a word, a sticker."""
    assert await recaller.passages(EVE, WEB, words, 0) == []


@pytest.mark.parametrize(
    ("query", "since", "until", "expected"),
    [
        ("fern", "", "", {"a fern in 2023", "a fern in 2025", "a fern yesterday"}),
        ("fern", "2025-01-01", "", {"a fern in 2025", "a fern yesterday"}),
        ("fern", "", "2024", {"a fern in 2023"}),
        ("fern", "yesterday", "yesterday", {"a fern yesterday"}),
        ("fern", "November 2025", "November 2025", {"a fern in 2025"}),
        ("the fern of yesterday", "", "", {"a fern yesterday"}),
        ("", "2025", "2025", {"a fern in 2025"}),
        ("AND OR NOT", "", "", set()),
    ],
)
async def test_a_mind_narrows_its_search(
    recaller: Recaller, query: str, since: str, until: str, expected: set[str]
) -> None:
    """By dates and by dates in words, in one of the two parameters or in the query."""
    assert set(said(await asked(recaller, TURN, query, since, until))) == expected


@pytest.mark.parametrize(
    ("since", "until", "told"),
    [
        ("the day after never", "", "is no time in the past"),
        ("", "2026-13-45", "is no time in the past"),
        ("yesterday", "2023", "ends before it begins"),
    ],
)
async def test_a_search_that_makes_no_sense_is_refused(recaller: Recaller, since: str, until: str, told: str) -> None:
    """The mind reads what to give instead."""
    answer = await asked(recaller, TURN, "fern", since, until)
    assert told in answer.error
    assert answer.text == ""


async def test_only_the_owners_turn_may_ask(recaller: Recaller) -> None:
    """Whatever the worker's code says: the daemon looks."""
    assert (await asked(recaller, None, "fern")).error == UNKNOWN_TURN


async def test_a_long_text_is_a_short_question(recaller: Recaller, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pasted table of dates would otherwise be compared date by date while everybody waits."""
    looked: list[int] = []

    def counted(words: str, now: datetime) -> None:
        looked.append(len(words))

    monkeypatch.setattr(service, "times", counted)
    table = "12 May 2025, 3 June 2024, last May; " * 2_000
    await recaller.passages(EVE, WEB, [f"{table} fern"] * 10, 0)
    assert said(await asked(recaller, TURN, f"{table} fern"))
    assert looked == [service.QUERY_CHARS] * 2


async def test_a_turn_searches_only_so_often(recaller: Recaller) -> None:
    """A worker at fault is told; the next turn may ask again."""
    for _ in range(MOST_ASKED):
        assert said(await asked(recaller, TURN, "fern"))
    assert (await asked(recaller, TURN, "fern")).error == TOO_OFTEN
    assert said(await asked(recaller, Turn(8, WEB, [], 0.0), "fern"))
