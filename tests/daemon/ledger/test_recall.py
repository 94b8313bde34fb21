"""What was said is found again: whose words, which words, in which order, and never after it was erased."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from daemon.ledger import ArchivedLine, Asked, FedConversation, Ledger, Why
from daemon.ledger.archive import ArchivedChannel
from daemon.ledger.recall import LAST
from daemon.ledger.recall_index import STEP_LINES
from daemon.ledger.repair import repair
from proto.feeds import FedLine
from proto.messages import Conversation, Outgoing
from proto.recalling import Beside, Passage
from tests.daemon.ledger.gateway_messages import ADAM, CHANNEL, CONVERSATION, inbound, pair
from tests.daemon.ledger.test_erasure import BOB, answered, traces, visit
from tests.daemon.ledger.test_open_channels import VISITOR, open_
from tests.daemon.ledger.test_revisions import answer, message, take

WEB: Final = Conversation("web", ADAM)
EVE: Final = "00000000-0000-4000-8000-00000000000e"
DAY: Final = 24 * 3600 * 1_000_000_000
NOW: Final = 1000 * DAY


def talk(*words: str, persona: str = ADAM, day: int = 100) -> list[ArchivedLine]:
    """Lines of the person's on the web, a day apart."""
    channel = ArchivedChannel("web", persona)
    return [ArchivedLine("person", text, (day + place) * DAY, channel) for place, text in enumerate(words)]


async def found(
    ledger: Ledger, words: str, persona: str = ADAM, since: int = 0, until: int = LAST, seen: int = 0
) -> list[str]:
    """The lines that are found for these words, the best first."""
    return said(await ledger.recall(persona, Asked(words, Conversation("web", persona), NOW, since, until, seen)))


def said(passages: Iterable[Passage]) -> list[str]:
    return [one.content for one in passages]


async def test_a_line_is_found_with_its_neighbours(ledger: Ledger) -> None:
    """What she is told and what she answers is found from the transaction on that keeps it, with date and channel."""
    await pair(ledger)
    for number, (told, reply) in enumerate(
        (("Good morning", "Hello!"), ("My sister Ingrid walks in Lillehammer", "How nice."), ("Bye", "See you."))
    ):
        perception = await ledger.accept(ADAM, CONVERSATION, "text", told, None, (100 + number) * DAY, None)
        assert perception is not None
        assert await ledger.answer(
            ADAM, [perception], CONVERSATION, [Outgoing(reply)], [number + 1], (100 + number) * DAY + 1
        )
    [passage] = await ledger.recall(ADAM, Asked("Where did we go walking with my sister?", WEB, NOW))
    assert (passage.role, passage.content) == ("person", "My sister Ingrid walks in Lillehammer")
    assert (passage.at, passage.channel) == (101 * DAY, CONVERSATION.type)
    assert (passage.before, passage.after) == (Beside("assistant", "Hello!"), Beside("assistant", "How nice."))


async def test_what_a_file_says_is_found(ledger: Ledger) -> None:
    """What her organs perceived counts like what was typed."""
    number = await ledger.accept(ADAM, WEB, "image", "", "a.jpg", 5, None, "receipt.jpg")
    assert number is not None
    assert await ledger.answer(ADAM, [number], WEB, [], [], 6, {number: "Ironmonger Hansen, 12 hinges"})
    assert await found(ledger, "how many hinges?") == ["Ironmonger Hansen, 12 hinges"]


async def test_lines_that_the_turn_has_already_are_left_out(ledger: Ledger) -> None:
    """The last lines of the conversation in hand stand in the prompt anyway; those of another conversation do not."""
    await ledger.put_back(ADAM, talk("the fern is dry", "the fern is green", "the fern is gone"))
    assert len(await found(ledger, "fern")) == 3
    assert await found(ledger, "fern", seen=2) == ["the fern is dry"]
    assert await found(ledger, "fern", seen=40) == []


async def test_what_changed_later_comes_first(ledger: Ledger) -> None:
    """Of two statements about the same thing the later one stands first, however well the earlier one fits."""
    lines = talk("My favourite colour is blue, blue is my favourite colour", "My favourite colour is green now")
    await ledger.put_back(ADAM, lines + talk("I painted a wall", day=200))
    assert (await found(ledger, "What is my favourite colour?"))[:2] == [lines[1].content, lines[0].content]


async def test_a_time_narrows_the_search(ledger: Ledger) -> None:
    """From the first day to before the last one; without other words, what was said then at all."""
    await ledger.put_back(ADAM, talk("I planted a fern", "I watered the fern", "I sold the fern"))
    assert await found(ledger, "fern", since=101 * DAY, until=102 * DAY) == ["I watered the fern"]
    assert await found(ledger, "what did we talk about?", since=101 * DAY, until=102 * DAY) == ["I watered the fern"]
    assert await found(ledger, "fern", since=300 * DAY, until=301 * DAY) == []


@pytest.mark.parametrize(
    "words",
    ["", "   ", '"', "AND OR NOT NEAR", "* ^ : ( ) - +", 'fern" OR "x', "NEAR(fern", "words:fern", "\0\ud800", "😀"],
)
async def test_no_question_is_an_error(ledger: Ledger, words: str) -> None:
    """Operators, quotes, surrogates and emoji are words like any other, or none."""
    await ledger.put_back(ADAM, talk("I planted a fern"))
    assert set(await found(ledger, words)) <= {"I planted a fern"}


async def test_a_megabyte_is_looked_up_by_its_end(ledger: Ledger) -> None:
    """A question is as long as it is: its end is what counts."""
    await ledger.put_back(ADAM, talk("I planted a fern"))
    assert await found(ledger, "word " * 200_000 + "fern?") == ["I planted a fern"]


@pytest.mark.parametrize(
    ("line", "question"),
    [
        ("今日は東京で寿司を食べました", "東京で何を食べた"),
        ("我昨天在上海买了一辆自行车", "自行车"),
        ("내일 서울에서 친구를 만나요", "서울"),
        ("วันนี้ฉันไปตลาด", "ตลาด"),
        ("Jeg bor på Grünerløkka", "GRUNERLOKKA grünerløkka"),
        ("Я живу в Москве", "москве"),
    ],
)
async def test_other_scripts_are_found(ledger: Ledger, line: str, question: str) -> None:
    """Also those that are written without spaces, and whatever the case and the accents."""
    await ledger.put_back(ADAM, talk("nothing of interest", line, "something else"))
    assert await found(ledger, question) == [line]


async def test_nobody_finds_anothers_words(ledger: Ledger) -> None:
    """Her owner finds nothing that visitors said, a visitor only this conversation, another persona nothing at all."""
    await open_(ledger)
    await ledger.put_back(ADAM, talk("the owner's fern"))
    first, theirs = await visit(ledger, inbound(1, "the visitor's fern", "42"), inbound(2, "bob's fern", "43"))
    await answered(ledger, first, VISITOR, 1)
    await answered(ledger, theirs, BOB, 2)
    assert await found(ledger, "fern SECRET answer") == ["the owner's fern"]
    assert await found(ledger, "fern", persona=EVE) == []
    asked = Asked("fern", VISITOR, NOW)
    assert said(await ledger.recall_visited(ADAM, asked)) == ["the visitor's fern"]
    assert said(await ledger.recall_visited(ADAM, Asked("fern", BOB, NOW))) == ["bob's fern"]
    assert await ledger.recall_visited(ADAM, Asked("fern", WEB, NOW)) == []
    assert await ledger.recall_visited(EVE, asked) == []
    await ledger.erase_conversation(CHANNEL, "42")
    assert await ledger.recall_visited(ADAM, asked) == []


async def test_notices_are_not_found(ledger: Ledger) -> None:
    """What the daemon writes in her name was never said by her."""
    await ledger.say(ADAM, WEB, "My mind cannot be reached", 1, 5)
    assert await found(ledger, "mind reached") == []


async def test_an_edit_takes_the_place_of_what_it_corrects(ledger: Ledger) -> None:
    """The step of a message that grew is found by its new words only."""
    await pair(ledger)
    await take(ledger, message(1, "planting"))
    await answer(ledger)
    for key, words in enumerate(("planting a fern", "planting a rose"), start=2):
        await take(ledger, message(key, words, "step"))
    assert "planting a rose" in await found(ledger, "planting fern rose")
    assert "planting a fern" not in await found(ledger, "planting fern rose")


async def test_older_lines_become_searchable_in_steps(path: Path) -> None:
    """A ledger without an index gets it in the background, the latest lines first; new lines need not wait for it."""
    ledger = await Ledger.open(path)
    count = 2 * STEP_LINES + 10
    await ledger.put_back(ADAM, talk(*(f"fern number {number}" for number in range(count)), day=0))
    await ledger.close()
    without_index(path)
    ledger = await Ledger.open(path)
    assert await found(ledger, "fern") == []
    await ledger.put_back(ADAM, talk("the last fern"))
    assert await found(ledger, "fern") == ["the last fern"]
    assert await ledger.index_step(ADAM)
    assert await found(ledger, f"number {count - 1}") != []
    assert f"fern number {count - STEP_LINES - 1}" not in await found(ledger, f"fern {count - STEP_LINES - 1}")
    assert await ledger.index_step(ADAM)
    assert not await ledger.index_step(ADAM)
    assert not await ledger.index_step(ADAM)
    assert (await found(ledger, "fern 7"))[0] == "fern number 7"
    await ledger.close()


async def test_a_line_that_is_not_indexed_yet_can_be_edited(path: Path) -> None:
    """Taking out what is not in the index would damage it."""
    ledger = await Ledger.open(path)
    await pair(ledger)
    await take(ledger, message(1, "planting"))
    await answer(ledger)
    await take(ledger, message(2, "planting a fern", "step"))
    await ledger.close()
    without_index(path)
    ledger = await Ledger.open(path)
    await take(ledger, message(3, "planting a rose", "step"))
    assert await found(ledger, "planting rose") == ["planting a rose"]
    while await ledger.index_step(ADAM):
        pass
    assert sorted(await found(ledger, "planting fern")) == ["planting", "planting a rose"]
    await ledger.close()


async def test_a_repaired_ledger_indexes_its_lines_again(path: Path) -> None:
    """The index is made of the lines, so it is not salvaged."""
    ledger = await Ledger.open(path)
    await ledger.put_back(ADAM, talk("I planted a fern"))
    await ledger.close()
    repair(path)
    ledger = await Ledger.open(path)
    while await ledger.index_step(ADAM):
        pass
    assert await found(ledger, "fern") == ["I planted a fern"]
    await ledger.close()


async def test_a_deleted_personas_words_are_gone(path: Path) -> None:
    """Neither the words nor the index of them can be read in the file; another persona keeps hers."""
    ledger = await Ledger.open(path)
    await ledger.put_back(ADAM, talk("the zephyrine fern"))
    await ledger.put_back(EVE, talk("the quixotic fern", persona=EVE))
    fed = Why("feed", source="chatgpt", key="k" * 64, title="t")
    await ledger.begin_change(ADAM, fed, {}, {}, 5, [FedLine("person", "the zephyrine lily")])
    await ledger.forget(ADAM)
    assert await found(ledger, "fern") == []
    assert await found(ledger, "fern", persona=EVE) == ["the quixotic fern"]
    await ledger.close()
    data = await asyncio.to_thread(path.read_bytes)
    assert b"zephyrin" not in data
    assert b"quixot" in data


async def test_fed_lines_are_found(ledger: Ledger) -> None:
    """With the product and the conversation's name, its neighbours, and until the feed is undone."""
    lines = [FedLine("person", "I adopted a ferret", 50 * DAY), FedLine("assistant", "What is it called?", 50 * DAY)]
    fed = Why("feed", source="chatgpt", key="a" * 64, title="Pets")
    change = await ledger.begin_change(ADAM, fed, {}, {}, NOW, lines)
    [passage] = await ledger.recall(ADAM, Asked("which ferret?", WEB, NOW))
    assert (passage.content, passage.channel, passage.title) == ("I adopted a ferret", "chatgpt", "Pets")
    assert (passage.before, passage.after) == (None, Beside("assistant", "What is it called?"))
    assert await found(ledger, "ferret", since=50 * DAY, until=51 * DAY) == ["I adopted a ferret"]
    assert await found(ledger, "ferret", since=51 * DAY) == []
    await ledger.finish_change(change)
    [kept] = [await ledger.fed_lines(ADAM, one) for one in await ledger.fed(ADAM)]
    assert kept == FedConversation(fed.key, "chatgpt", NOW, "Pets", lines)
    await ledger.put_back_fed(EVE, [kept])
    assert await found(ledger, "ferret", persona=EVE) == ["I adopted a ferret"]


async def test_an_undone_feed_leaves_no_line(ledger: Ledger, path: Path) -> None:
    """Its memory files could not be written: it may be fed again, and nothing is found twice."""
    fed = Why("feed", source="chatgpt", key="a" * 64, title="Pets")
    lines = [FedLine("person", "I adopted a ferret", 50 * DAY)]
    change = await ledger.begin_change(ADAM, fed, {}, {}, NOW, lines)
    await ledger.give_up_change(change, [])
    assert await found(ledger, "ferret") == []
    assert "fed_line" not in traces(path, "ferret")
    await ledger.begin_change(ADAM, fed, {}, {}, NOW, lines)
    assert await found(ledger, "ferret") == ["I adopted a ferret"]


def without_index(path: Path) -> None:
    """Leave the ledger as an earlier version did: with lines and without an index."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for (number,) in connection.execute("SELECT number FROM recall_index").fetchall():
            connection.execute(f"DROP TABLE recall_{number}")
        connection.execute("DELETE FROM recall_index")
