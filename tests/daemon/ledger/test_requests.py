"""Requests in the ledger: each is one message, whatever becomes of its client."""

from __future__ import annotations

from pathlib import Path

from daemon.ledger import Ledger, New, Notice, Piece, Standing
from daemon.ledger.requests import conversation_of
from proto.messages import Line, Outgoing

EVE = "11111111-1111-4111-8111-111111111111"
NOW = 1_793_600_000_000_000_000
HI = New("k1", [Piece("text", "hi")])
MORE = New("k2", [Piece("image", "look", "image-1.png"), Piece("text", "and?")])


async def take(ledger: Ledger, *messages: New, at: int = NOW, fresh: int = 0) -> Standing:
    """Keep a request with something that was said before, and an instruction."""
    return await ledger.take_request(EVE, messages, [Line("person", "before", 1)], "be brief", at, fresh)


async def answer(ledger: Ledger, standing: Standing, key: str, words: str = "hello") -> None:
    """Let her answer all of it."""
    perceptions = [item.perception.id for item in standing.waiting]
    assert await ledger.answer(EVE, perceptions, conversation_of(key), [Outgoing(words)], [1], NOW)


async def test_a_request_that_waits_is_known(tmp_path: Path) -> None:
    """It waits once, also for a daemon that was started anew, and tells what came with it."""
    ledger = await Ledger.open(tmp_path / "ledger.db")
    first = await take(ledger, HI)
    assert (first.is_new, first.answer) == (True, None)
    await ledger.close()
    ledger = await Ledger.open(tmp_path / "ledger.db")
    assert await take(ledger, HI) == Standing(first.last)
    assert [item.perception for item in await ledger.waiting(EVE)] == [item.perception for item in first.waiting]
    assert await ledger.history(EVE, conversation_of("k1"), 40) == [Line("person", "before", 1)]
    assert await ledger.request_instructions(EVE, "k1") == "be brief"
    await ledger.close()


async def test_an_answer_is_for_the_client_that_has_none(tmp_path: Path) -> None:
    """Until a client has it, for a while; then the same words are said again. What came with it is gone."""
    ledger = await Ledger.open(tmp_path / "ledger.db")
    await answer(ledger, await take(ledger, HI), "k1")
    assert (await take(ledger, HI)).answer == [Outgoing("hello")]
    assert (await ledger.history(EVE, conversation_of("k1"), 40), await ledger.request_instructions(EVE, "k1")) == (
        [],
        "",
    )
    late = await take(ledger, HI, at=NOW + 5, fresh=NOW + 1)
    assert late.is_new
    await answer(ledger, late, "k1", "again")
    await ledger.request_taken(EVE, "k1")
    assert (await take(ledger, HI)).is_new
    await ledger.close()


async def test_messages_of_an_earlier_request_are_kept_once(tmp_path: Path) -> None:
    """What waits or was answered is no new message, when it comes before another one."""
    ledger = await Ledger.open(tmp_path / "ledger.db")
    await take(ledger, HI)
    second = await take(ledger, HI, MORE)
    assert [item.perception.content for item in second.waiting] == ["look", "and?"]
    assert second.last == second.waiting[-1].perception.id
    await ledger.close()


async def test_a_part_of_the_answer_is_not_the_end(tmp_path: Path) -> None:
    """A mind with little room answers a long request in two turns; its client gets both parts."""
    ledger = await Ledger.open(tmp_path / "ledger.db")
    standing = await take(ledger, MORE)
    first, last = (item.perception.id for item in standing.waiting)
    assert await ledger.answer(EVE, [first], conversation_of("k2"), [Outgoing("a cat")], [1], NOW)
    assert await take(ledger, MORE) == Standing(last)
    assert await ledger.answer(EVE, [last], conversation_of("k2"), [Outgoing("that is all")], [2], NOW)
    assert (await take(ledger, MORE)).answer == [Outgoing("a cat"), Outgoing("that is all")]
    await ledger.close()


async def test_what_was_set_aside_is_taken_up_whole(tmp_path: Path) -> None:
    """The same request lets all its messages wait again."""
    ledger = await Ledger.open(tmp_path / "ledger.db")
    standing = await take(ledger, MORE)
    perceptions = [item.perception.id for item in standing.waiting]
    notice = Notice(perceptions[-1], conversation_of("k2"), "I cannot", 1)
    assert await ledger.refuse(EVE, perceptions, "a filter", notice, NOW)
    again = await take(ledger, MORE)
    assert [item.perception.id for item in again.waiting] == perceptions
    assert not again.is_new
    assert [item.perception.id for item in await ledger.waiting(EVE)] == perceptions
    await ledger.close()


async def test_what_was_dropped_is_a_new_message(tmp_path: Path) -> None:
    """A message that somebody closed without an answer does not hold up the same words later."""
    ledger = await Ledger.open(tmp_path / "ledger.db")
    standing = await take(ledger, HI)
    assert await ledger.refuse(
        EVE, [standing.last], "a filter", Notice(standing.last, conversation_of("k1"), "no", 1), NOW
    )
    await ledger.drop_set_aside(EVE, None)
    assert (await take(ledger, HI)).is_new
    await ledger.close()


async def test_old_requests_are_forgotten(tmp_path: Path) -> None:
    """With the keys of other messages; one that still waits stays, and a deleted persona's go with her."""
    ledger = await Ledger.open(tmp_path / "ledger.db")
    await answer(ledger, await take(ledger, HI), "k1")
    waits = await take(ledger, MORE)
    await ledger.prune(NOW + 1)
    assert await take(ledger, MORE) == Standing(waits.last)
    assert (await take(ledger, HI)).is_new
    await ledger.forget(EVE)
    assert (await take(ledger, MORE)).is_new
    await ledger.close()


async def test_nothing_of_it_waits_for_a_gateway(tmp_path: Path) -> None:
    """The answer goes to its request alone."""
    ledger = await Ledger.open(tmp_path / "ledger.db")
    await answer(ledger, await take(ledger, HI), "k1")
    assert await ledger.outgoing(EVE) == []
    assert await ledger.frames(EVE, 0, 9) == []
    await ledger.close()


async def test_an_answer_that_took_long_is_as_fresh_as_it_is(tmp_path: Path) -> None:
    """Her mind was down for longer than an answer waits for its client: it still waits from its own time on."""
    ledger = await Ledger.open(tmp_path / "ledger.db")
    first = await take(ledger, HI, at=NOW - 100)
    await answer(ledger, first, "k1")
    assert (await take(ledger, HI, at=NOW + 5, fresh=NOW - 50)).answer == [Outgoing("hello")]
    await ledger.close()
