"""Pages of the conversation: in the order of writing, bounded, and searched."""

from __future__ import annotations

from typing import Final

import pytest

from daemon.ledger import Ledger, StoredLine, Wanted
from daemon.ledger.paging import PAGE_LINES, PAGE_TEXT
from proto.messages import Conversation, Outgoing

ADA: Final = "5c1f0c1e-6a5b-4c55-9d8e-0000000000a1"
EVE: Final = "5c1f0c1e-6a5b-4c55-9d8e-0000000000e5"
WEB: Final = Conversation("web", ADA)


async def hear(ledger: Ledger, text: str, at: int, persona: str = ADA) -> int:
    """Accept a message and return its number."""
    number = await ledger.accept(persona, WEB, "text", text, None, at, None)
    assert number is not None
    return number


async def talk(ledger: Ledger, *clock: int) -> None:
    """Say a word and have it answered, once for each time that the clock showed."""
    for number, at in enumerate(clock, start=1):
        heard = await hear(ledger, f"word {number}", at)
        assert await ledger.answer(ADA, [heard], WEB, [Outgoing(f"re: {number}")], [number], at)
        await hear(ledger, "a neighbour's", at, EVE)


def words(lines: list[StoredLine]) -> list[str]:
    """Return what the lines say."""
    return [line.content for line in lines]


async def test_lines_stand_in_the_order_of_writing(ledger: Ledger) -> None:
    """A clock that jumps back or ahead neither moves nor hides a line."""
    await talk(ledger, 50, 60, 5, 6, 2**62, 7)
    said = [text for number in range(1, 7) for text in (f"word {number}", f"re: {number}")]
    assert words(await ledger.conversation(ADA)) == said
    for limit in range(14):
        assert words(await ledger.conversation(ADA, Wanted(limit))) == said[len(said) - min(limit, 12) :]


async def test_a_page_has_an_end(ledger: Ledger) -> None:
    """Without a limit the last lines come; long ones make a shorter page, but never an empty one."""
    heard = await hear(ledger, "tell me all", 1)
    assert await ledger.answer(ADA, [heard], WEB, [Outgoing(f"{n}") for n in range(150)], list(range(1, 151)), 2)
    page = await ledger.conversation(ADA)
    assert words(page) == [f"{n}" for n in range(50, 150)]
    assert len(page) == PAGE_LINES
    heard = await hear(ledger, "more", 3)
    long = [Outgoing("x" * (PAGE_TEXT // 3)) for _ in range(9)]
    assert await ledger.answer(ADA, [heard], WEB, long, list(range(200, 209)), 4)
    assert len(await ledger.conversation(ADA)) == 3
    heard = await hear(ledger, "y" * (2 * PAGE_TEXT), 5)
    assert await ledger.answer(ADA, [heard], WEB, [], [], 6)
    assert [len(line.content) for line in await ledger.conversation(ADA)] == [2 * PAGE_TEXT]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_pages_lead_through_everything_both_ways(ledger: Ledger, size: int) -> None:
    """Page by page, each line comes once, in both directions, also over messages that are not answered."""
    await talk(ledger, 10, 20, 5, 30)
    whole = [line for line in await ledger.conversation(ADA) if line.id]
    back: list[StoredLine] = []
    before = whole[-1].id + 1
    while page := await ledger.conversation(ADA, Wanted(size, before=before)):
        back = page + back
        before = page[0].id
    onward: list[StoredLine] = []
    after = 0
    while page := await ledger.conversation(ADA, Wanted(size, after=after)):
        onward += page
        after = page[-1].id
    assert back == onward == whole


async def test_what_is_not_answered_stands_on_one_page(ledger: Ledger) -> None:
    """It comes with the lines among which it was said, and with no others."""
    await talk(ledger, 10, 20, 30)
    await hear(ledger, "early", 15)
    await hear(ledger, "late", 35)
    assert words(await ledger.conversation(ADA)) == [
        *("word 1", "re: 1", "early", "word 2", "re: 2", "word 3", "re: 3", "late")
    ]
    assert words(await ledger.conversation(ADA, Wanted(2))) == ["word 3", "re: 3", "late"]
    assert words(await ledger.conversation(ADA, Wanted(2, before=5))) == ["word 2", "re: 2"]
    assert words(await ledger.conversation(ADA, Wanted(9, before=5))) == ["word 1", "re: 1", "early", "word 2", "re: 2"]
    assert words(await ledger.conversation(ADA, Wanted(3, after=0))) == ["word 1", "re: 1", "early", "word 2"]
    assert words(await ledger.conversation(ADA, Wanted(9, before=1))) == []
    assert words(await ledger.conversation(ADA, Wanted(9, after=6))) == []
    assert words(await ledger.conversation(ADA, Wanted(9, after=3))) == ["re: 2", "word 3", "re: 3", "late"]


async def pages(ledger: Ledger, size: int, text: str, *, forward: bool) -> list[StoredLine]:
    """Return everything, page by page in one direction, as the API's page says that it is done."""
    every: list[StoredLine] = []
    wanted = Wanted(size, after=0, words=text) if forward else Wanted(size, words=text)
    while page := await ledger.conversation(ADA, wanted):
        every = every + page if forward else page + every
        numbered = [line.id for line in page if line.id]
        if not numbered:
            break
        wanted = (
            Wanted(size, after=numbered[-1], words=text) if forward else Wanted(size, before=numbered[0], words=text)
        )
    return every


@pytest.mark.parametrize("text", ["", "word"])
@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("clock", [(10, 20, 30, 40), (50, 60, 5, 6), (10, 2**62, 20, 30)])
async def test_what_is_not_answered_comes_once(ledger: Ledger, clock: tuple[int, ...], size: int, text: str) -> None:
    """In both directions, whatever the clock did, and however many there are between two lines."""
    await talk(ledger, *clock)
    for at in (4, 12, 25, 55, 70):
        for number in range(3):
            await hear(ledger, f"word {at}.{number}", at)
    whole = await ledger.conversation(ADA, Wanted(1000, words=text))
    assert len(whole) == (4 if text else 8) + 15
    back = await pages(ledger, size, text, forward=False)
    onward = await pages(ledger, size, text, forward=True)
    assert sorted(words(back)) == sorted(words(onward)) == sorted(words(whole))
    if not text:
        assert back == onward == whole


async def test_more_wait_than_a_page_has_lines(ledger: Ledger) -> None:
    """All of them come with the last lines, and the page that they come on leads to the one before it."""
    await talk(ledger, 10, 20)
    for number in range(20):
        await hear(ledger, f"waiting {number}", 30)
    page = await ledger.conversation(ADA, Wanted(2))
    assert words(page) == ["word 2", "re: 2", *(f"waiting {number}" for number in range(20))]
    assert words(await ledger.conversation(ADA, Wanted(2, before=page[0].id))) == ["word 1", "re: 1"]
    assert words(await ledger.conversation(ADA, Wanted(0))) == []


async def test_too_many_wait(ledger: Ledger) -> None:
    """A page has the newest, and an end."""
    await talk(ledger, 10)
    for number in range(5):
        await hear(ledger, f"{number}" * (PAGE_TEXT // 2), 30)
    assert [text[0] for text in words(await ledger.conversation(ADA))] == ["w", "r", "3", "4"]


async def test_a_page_after_a_line_that_is_not_hers(ledger: Ledger) -> None:
    """A number between two of her lines leads on from the one before it."""
    await ledger.say(EVE, WEB, "a neighbour's", 101, 1)
    await talk(ledger, 10)
    await ledger.say(EVE, WEB, "a neighbour's", 102, 15)
    await hear(ledger, "waits", 16)
    last = await hear(ledger, "last", 20)
    assert await ledger.answer(ADA, [last], WEB, [Outgoing("re: last")], [103], 20)
    assert words(await ledger.conversation(ADA, Wanted(9, after=4))) == ["waits", "last", "re: last"]
    assert words(await ledger.conversation(ADA, Wanted(9, after=1))) == [
        *("word 1", "re: 1", "waits", "last", "re: last")
    ]


async def test_a_search_finds_words_in_any_case(ledger: Ledger) -> None:
    """Content, file names and what she saw are searched for each word, waiting messages too; % and _ are letters."""
    heard = await ledger.accept(ADA, WEB, "image", "", "a.jpg", 1, None, "Größe.JPG")
    assert heard is not None
    said = [Outgoing("100% ÄPFEL"), Outgoing("1000")]
    assert await ledger.answer(ADA, [heard], WEB, said, [1, 2], 2, {heard: "a cat"})
    await hear(ledger, "äpfel, please", 3)
    for asked, found in (
        ("äpfel", ["100% ÄPFEL", "äpfel, please"]),
        ("GRÖSSE", [""]),
        ("Cat", [""]),
        ("100%", ["100% ÄPFEL"]),
        ("1_0", []),
        ("nothing", []),
        ("a\N{COMBINING DIAERESIS}pfel", ["100% ÄPFEL", "äpfel, please"]),
        ("please äpfel", ["äpfel, please"]),
        ("please  nothing", []),
        ("cat größe\tjpg", [""]),
        ('"äpfel, please"', ["äpfel, please"]),
        ('"please äpfel"', []),
        ('"100%  äpfel" pfe', ["100% ÄPFEL"]),
        ('"100%', []),
        ('"" " "', ["", "100% ÄPFEL", "1000", "äpfel, please"]),
        ("\0", []),
    ):
        assert words(await ledger.conversation(ADA, Wanted(9, words=asked))) == found
    assert words(await ledger.conversation(ADA, Wanted(9, after=1, words="äpfel"))) == ["100% ÄPFEL", "äpfel, please"]
