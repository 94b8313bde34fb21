"""Her mind searches what was said, and the embedded mind quotes it with its date."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
import pytest

from proto.asking import DaemonAnswer
from proto.messages import Join, Line, Perceive, Reply
from proto.recalling import Passage, Recall
from proto.records import EMBEDDED, EMBEDDED_MIND, Organ
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.server import Step
from tests.worker.agent.test_tools import at
from tests.worker.conftest import WEB, Seat, SeatMaker
from worker.agent.recalling import NOTHING
from worker.organs import remembered

AT: Final = int(datetime(2024, 5, 3, 9, 30).astimezone().timestamp()) * 1_000_000_000
FERN: Final = Passage("person", "My fern is called Olga.", AT, "telegram")
ASK: Final = Step(calls=(("recall", '{"query": "the fern", "from": "last May"}'),))
BRAIN: Final = Organ(EMBEDDED_MIND, EMBEDDED)


async def result(adam: Seat, openai: OpenAIEmulator, text: str = "", error: str = "") -> str:
    """Answer her mind's search; returns what her mind reads."""
    asked = await adam.first(Recall)
    assert (asked.turn, asked.query, asked.since, asked.until) == (1, "the fern", "last May", "")
    adam.agent.receive(DaemonAnswer(asked.call, text, error))
    await adam.first(Reply)
    return str(openai.asked("completions")[-1].body["messages"][-1]["content"])


def asks(adam: Seat) -> None:
    """A turn of her owner, who said more than the history holds."""
    adam.agent.receive(Perceive(1, WEB, adam.perceptions("What is my fern called?"), [], {}, beyond=True))


async def test_a_mind_searches_what_was_said(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """It gets the passages with their dates."""
    openai.script(ASK, Step("Olga."))
    adam = seat(at(openai))
    asks(adam)
    told = await result(adam, openai, msgspec.json.encode([FERN]).decode())
    assert "Friday, 3 May 2024, 09:30 (telegram), the person:\n  > My fern is called Olga." in told
    assert (await adam.first(Reply)).messages[0].content == "Olga."


@pytest.mark.parametrize(
    ("text", "error", "expected"),
    [("[]", "", NOTHING), ("", "It took too long.", "It took too long."), ("garbage", "", "cannot be read")],
)
async def test_a_search_without_a_result(
    seat: SeatMaker, openai: OpenAIEmulator, text: str, error: str, expected: str
) -> None:
    """Nothing found, a refusal, or an answer that is none: her mind reads it and answers all the same."""
    openai.script(ASK, Step("I do not know."))
    adam = seat(at(openai))
    asks(adam)
    assert expected in await result(adam, openai, text, error)


async def test_a_visitors_mind_cannot_search(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """No tool is offered, and a call of it reaches nobody."""
    openai.script(ASK, Step("No."))
    adam = seat(at(openai))
    adam.agent.receive(Perceive(1, WEB, adam.perceptions("fern?"), [], {}, visitor="Bo", recalled=[FERN]))
    await adam.first(Reply)
    assert adam.of(Recall) == []
    first, *_ = openai.asked("completions")
    assert "tools" not in first.body, "a stranger's turn"
    assert "My fern is called Olga." in str(first.body["messages"][0])


async def answer(seat: SeatMaker, words: str, *recalled: Passage, history: list[Line] | None = None) -> str:
    """What the embedded mind answers."""
    adam = seat(BRAIN)
    adam.agent.receive(Perceive(1, WEB, adam.perceptions(words), history or [], {}, recalled=list(recalled)))
    return (await adam.first(Reply)).messages[0].content


@pytest.mark.parametrize(
    "words",
    [
        "What did I say about my fern?",
        "What did I tell you about the fern",
        "Did I ever mention a fern?",
        "Do you remember what I said about my fern?",
    ],
)
async def test_the_embedded_mind_quotes_with_the_date(seat: SeatMaker, words: str) -> None:
    """Word for word, by code."""
    told = await answer(seat, words, FERN)
    assert told == 'On Friday, 3 May 2024, 09:30 you said: "My fern is called Olga."'


async def test_the_embedded_mind_says_when(seat: SeatMaker) -> None:
    """The latest line about it counts, also one that stands in the conversation."""
    planted = Passage("person", "I planted a fern by the river.", AT, "web")
    assert "3 May 2024" in await answer(seat, "When did I plant a fern?", planted)
    later = Line("person", "I planted a fern by the lake.", AT + 366 * 24 * 3600 * 10**9)
    assert "May 2025" in await answer(seat, "When did I plant a fern?", planted, history=[later])


async def test_the_embedded_mind_knows_who_said_it(seat: SeatMaker) -> None:
    """Her own words are hers."""
    hers = Passage("assistant", "You should water a fern on Mondays.", AT, "web")
    told = await answer(seat, "What did you say about the fern?", FERN, hers)
    assert told.endswith('I said: "You should water a fern on Mondays."')


@pytest.mark.parametrize("recalled", [(), (Passage("person", "I like tea.", AT, "web"),)])
async def test_what_was_never_said_is_not_made_up(seat: SeatMaker, recalled: tuple[Passage, ...]) -> None:
    """Also when something else was found."""
    assert await answer(seat, "What did I say about my zeppelin?", *recalled) == remembered.NOTHING


async def test_the_tool_is_offered_where_there_is_more_to_find(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """While the history holds all that was ever said, a search costs tokens and finds nothing."""
    adam = seat(at(openai))
    adam.perceive("hello")
    await adam.first(Reply)
    asks(adam)
    await adam.several(Reply, 2)
    bodies = [entry.body for entry in openai.asked("completions")]
    assert ["'recall'" in str(body.get("tools")) for body in bodies] == [False, True]


async def test_words_that_join_are_looked_up_as_well(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """The daemon searched for those that were there when the turn began; what is found then stands in the prompt."""
    openai.script(Step(failure="hang"), Step("Olga."))
    adam = seat(at(openai))
    asks(adam)
    await openai.requests(1)
    adam.agent.receive(Join(1, adam.perceptions("The one by the river.")))
    asked = await adam.first(Recall)
    assert asked.query == "What is my fern called?\nThe one by the river."
    adam.agent.receive(DaemonAnswer(asked.call, msgspec.json.encode([FERN]).decode()))
    await adam.first(Reply)
    first, second = openai.asked("completions")
    assert "Olga" not in str(first.body["messages"])
    assert "My fern is called Olga." in str(second.body["messages"][0])
