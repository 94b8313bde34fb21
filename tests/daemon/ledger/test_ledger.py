"""The ledger keeps, delivers once, answers once and forgets."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path

import pytest

from daemon.ledger import Depth, Ledger, LedgerError, StoredFrame, StoredLine, Waiting, Wanted
from proto.messages import Conversation, Line, Outgoing, Perception
from tests.daemon.ledger.deaths import die

ADAM = "0a1b2c3d-0000-4000-8000-000000000001"
EVE = "0a1b2c3d-0000-4000-8000-000000000002"
WEB = Conversation("web", "web")
TELEGRAM = Conversation("telegram", "adam_bot", "00000000000000aa", "42")

_clock = count(1_000)


async def hear(ledger: Ledger, text: str, persona: str = ADAM, conversation: Conversation = WEB) -> int:
    """Accept a message without a key."""
    accepted = await ledger.accept(persona, conversation, "text", text, None, next(_clock), None)
    assert accepted is not None
    return accepted


async def texts(ledger: Ledger, persona: str = ADAM) -> list[str]:
    """Return the lines that a person sees."""
    return [line.content for line in await ledger.conversation(persona)]


async def test_what_an_organ_found_is_kept_whole(ledger: Ledger) -> None:
    """SQLite's functions end a text at a NUL: what stands behind it is kept all the same."""
    heard = await ledger.accept(ADAM, WEB, "document", "read this", "paper.pdf", 1, None)
    assert heard is not None
    found = "before\0behind, and half a \ud83d"
    assert await ledger.answer(ADAM, [heard], WEB, [Outgoing("Done.")], [1], 5_000, {heard: found})
    lines = await ledger.conversation(ADAM)
    assert lines[0].perceived == "before\ufffdbehind, and half a \ufffd"


async def test_accepted_messages_wait_in_order(ledger: Ledger) -> None:
    """Pending perceptions come back whole, oldest first, and per persona."""
    first = await ledger.accept(ADAM, WEB, "text", "hello", None, 1, None)
    second = await ledger.accept(ADAM, TELEGRAM, "image", "look", "cat.png", 2, "update-7")
    await hear(ledger, "not for Adam", EVE)
    assert first is not None
    assert second is not None
    assert await ledger.waiting(ADAM) == [
        Waiting(Perception(first, "text", "hello", 1), WEB, 0),
        Waiting(Perception(second, "image", "look", 2, "cat.png"), TELEGRAM, 0),
    ]


async def test_a_key_is_accepted_once(ledger: Ledger) -> None:
    """A key is unique within one conversation of one persona, even after its perception is answered."""
    taken = await ledger.accept(ADAM, TELEGRAM, "text", "hi", None, 1, "7")
    assert taken is not None
    assert await ledger.accept(ADAM, TELEGRAM, "text", "hi", None, 2, "7") is None
    assert await ledger.answer(ADAM, [taken], TELEGRAM, [], [], 3)
    assert await ledger.accept(ADAM, TELEGRAM, "text", "hi", None, 4, "7") is None
    other_chat = Conversation("telegram", "adam_bot", "00000000000000aa", "43")
    assert await ledger.accept(ADAM, other_chat, "text", "hi", None, 5, "7") is not None
    assert await ledger.accept(EVE, TELEGRAM, "text", "hi", None, 6, "7") is not None
    assert await ledger.accept(ADAM, TELEGRAM, "text", "hi", None, 7, None) is not None
    assert await ledger.accept(ADAM, TELEGRAM, "text", "hi", None, 8, None) is not None


async def test_the_same_key_at_the_same_time_is_accepted_once(ledger: Ledger) -> None:
    """Of many concurrent accepts with one key, exactly one gets an id."""
    ids = await asyncio.gather(*(ledger.accept(ADAM, WEB, "text", "hi", None, at, "k") for at in range(50)))
    assert sum(id_ is not None for id_ in ids) == 1
    assert len(await ledger.waiting(ADAM)) == 1


async def test_an_answer_moves_the_messages_and_keeps_the_frames(ledger: Ledger) -> None:
    """Person lines have the time of acceptance, hers that of the answer; frames have their seq; nothing waits."""
    one = await ledger.accept(ADAM, WEB, "text", "hello", None, 10, None)
    two = await ledger.accept(ADAM, WEB, "image", "this", "cat.png", 20, None)
    assert one is not None
    assert two is not None
    said = [Outgoing("Hi."), Outgoing("A cat!", "image", "drawn.png")]
    assert await ledger.answer(ADAM, [two, one], WEB, said, [100, 101], 30)
    assert await ledger.waiting(ADAM) == []
    assert await ledger.conversation(ADAM) == [
        StoredLine("person", "hello", 10, None, WEB, id=1),
        StoredLine("person", "this", 20, "cat.png", WEB, id=2),
        StoredLine("assistant", "Hi.", 30, None, WEB, id=3),
        StoredLine("assistant", "A cat!", 30, "drawn.png", WEB, id=4),
    ]
    assert await ledger.frames(ADAM, 0, 10) == [
        StoredFrame(100, "text", "Hi.", None),
        StoredFrame(101, "image", "A cat!", "drawn.png"),
    ]
    assert await ledger.frames(ADAM, 100, 10) == [StoredFrame(101, "image", "A cat!", "drawn.png")]
    assert await ledger.frames(ADAM, 0, 1) == [StoredFrame(100, "text", "Hi.", None)]
    assert await ledger.frames(EVE, 0, 10) == []


async def test_concurrent_answers_to_the_same_message_count_once(ledger: Ledger) -> None:
    """Of many concurrent answers to one perception, one is kept, with only its frames."""
    heard = await hear(ledger, "hello")
    answers = [ledger.answer(ADAM, [heard], WEB, [Outgoing(f"answer {n}")], [n], 5_000) for n in range(1, 41)]
    kept = await asyncio.gather(*answers)
    assert kept.count(True) == 1
    winner = kept.index(True) + 1
    assert await ledger.frames(ADAM, 0, 100) == [StoredFrame(winner, "text", f"answer {winner}", None)]
    assert await texts(ledger) == ["hello", f"answer {winner}"]


async def test_an_answer_to_anything_not_pending_changes_nothing(ledger: Ledger) -> None:
    """If one perception is answered, another persona's, poison or unknown, the whole answer is refused."""
    mine, done, poison = await hear(ledger, "mine"), await hear(ledger, "done"), await hear(ledger, "poison")
    hers = await hear(ledger, "hers", EVE)
    assert await ledger.answer(ADAM, [done], WEB, [], [], 5_000)
    assert await die(ledger, ADAM, [poison], 1) == [poison]
    for bad in (done, hers, poison, 999):
        assert not await ledger.answer(ADAM, [mine, bad], WEB, [Outgoing("no")], [bad], 6_000)
    assert [row.perception.id for row in await ledger.waiting(ADAM)] == [mine]
    assert [row.perception.id for row in await ledger.waiting(EVE)] == [hers]
    assert await ledger.frames(ADAM, 0, 10) == []
    assert "no" not in await texts(ledger)


async def test_an_answer_that_fails_leaves_its_messages_waiting(ledger: Ledger) -> None:
    """A seq that is already used raises LedgerError, and the perception can still be answered."""
    one, two = await hear(ledger, "one"), await hear(ledger, "two")
    assert await ledger.answer(ADAM, [one], WEB, [Outgoing("1")], [7], 5_000)
    with pytest.raises(LedgerError, match="seq"):
        await ledger.answer(ADAM, [two], WEB, [Outgoing("2")], [7], 5_001)
    with pytest.raises(ValueError, match="zip"):
        await ledger.answer(ADAM, [two], WEB, [Outgoing("2")], [], 5_002)
    assert await texts(ledger) == ["one", "two", "1"]
    assert await ledger.answer(ADAM, [two], WEB, [Outgoing("2")], [8], 5_003)


async def test_a_gateway_answer_waits_in_the_outbox(ledger: Ledger) -> None:
    """An answer on another channel than the web counts as pending there and is not a web frame."""
    heard = await hear(ledger, "hello", conversation=TELEGRAM)
    assert await ledger.answer(ADAM, [heard], TELEGRAM, [Outgoing("Hi.")], [9], 5_000)
    assert await ledger.frames(ADAM, 0, 10) == []
    assert await ledger.depths() == {ADAM: Depth(outbox_pending=1, lines=2)}


async def test_people_see_what_is_not_answered_in_its_place(ledger: Ledger) -> None:
    """The view is ordered by time: pending and poison messages have their own place, before a later answer."""
    early = await ledger.accept(ADAM, WEB, "text", "early", None, 10, None)
    bad = await ledger.accept(ADAM, WEB, "text", "poison", None, 20, None)
    await ledger.accept(ADAM, TELEGRAM, "text", "meanwhile", None, 30, None)
    assert early is not None
    assert bad is not None
    await die(ledger, ADAM, [bad], 1)
    assert await ledger.answer(ADAM, [early], WEB, [Outgoing("answer")], [1], 40)
    assert await texts(ledger) == ["early", "poison", "meanwhile", "answer"]
    # The limit counts lines; what is not answered comes on top, with the lines that it stands among.
    whole = ["early", "poison", "meanwhile", "answer"]
    assert [line.content for line in await ledger.conversation(ADAM, Wanted(2))] == whole


async def test_a_mind_sees_its_conversation_in_order_of_insertion(ledger: Ledger) -> None:
    """History has the last lines of one conversation, without notices and unanswered messages."""
    one = await ledger.accept(ADAM, WEB, "text", "one", None, 10, None)
    two = await ledger.accept(ADAM, WEB, "text", "two", None, 20, None)
    elsewhere = await hear(ledger, "elsewhere", conversation=TELEGRAM)
    assert one is not None
    assert two is not None
    assert await ledger.answer(ADAM, [one], WEB, [Outgoing("answer one")], [2], 30)
    assert await ledger.tell(ADAM, WEB, "no mind", 1, 35)
    assert await ledger.answer(ADAM, [two], WEB, [Outgoing("answer two")], [3], 40)
    assert await ledger.answer(ADAM, [elsewhere], TELEGRAM, [], [], 50)
    await hear(ledger, "waiting")
    assert await ledger.history(ADAM, WEB, 3) == [
        Line("assistant", "answer one", 30),
        Line("person", "two", 20),
        Line("assistant", "answer two", 40),
    ]


async def test_a_notice_is_kept_once_until_the_next_answer(ledger: Ledger) -> None:
    """A conversation gets one notice per outage. Its answer ends the outage; another conversation's does not."""
    here, there = await hear(ledger, "hello"), await hear(ledger, "hello", conversation=TELEGRAM)
    assert await ledger.tell(ADAM, WEB, "cannot think", 1, 5_000)
    assert not await ledger.tell(ADAM, WEB, "cannot think", 2, 5_001)
    assert await ledger.tell(ADAM, TELEGRAM, "cannot think", 3, 5_002)
    assert await ledger.answer(ADAM, [there], TELEGRAM, [], [], 5_003)
    assert not await ledger.tell(ADAM, WEB, "cannot think", 4, 5_004)
    assert await ledger.answer(ADAM, [here], WEB, [], [], 5_005)
    assert await ledger.tell(ADAM, WEB, "cannot think", 5, 5_006)
    assert [frame.seq for frame in await ledger.frames(ADAM, 0, 10)] == [1, 5]
    assert (await texts(ledger)).count("cannot think") == 3


async def test_what_keeps_killing_workers_becomes_poison(ledger: Ledger) -> None:
    """The third death sets a perception aside; an answered one is not counted."""
    deadly, fine = await hear(ledger, "deadly"), await hear(ledger, "fine")
    assert await die(ledger, ADAM, [deadly, fine], 3) == []
    assert await ledger.answer(ADAM, [fine], WEB, [], [], 5_000)
    assert await die(ledger, ADAM, [deadly, fine], 3) == []
    assert [row.deaths for row in await ledger.waiting(ADAM)] == [2]
    assert await die(ledger, ADAM, [deadly, fine], 3) == [deadly]
    assert await die(ledger, ADAM, [deadly, fine], 3) == []
    assert await ledger.waiting(ADAM) == []
    assert await ledger.depths() == {ADAM: Depth(poison=1, lines=1)}


async def test_consolidation_goes_on_where_it_ended(ledger: Ledger) -> None:
    """Lines of all conversations are returned in order, without notices, until they are consolidated."""
    assert await ledger.unconsolidated(ADAM, 10) == (0, [])
    one, two = await hear(ledger, "one"), await hear(ledger, "two", conversation=TELEGRAM)
    await ledger.tell(ADAM, WEB, "cannot think", 1, 5_000)
    await ledger.answer(ADAM, [one], WEB, [Outgoing("1")], [2], 5_001)
    await ledger.answer(ADAM, [two], TELEGRAM, [Outgoing("2")], [3], 5_002)
    last, lines = await ledger.unconsolidated(ADAM, 3)
    assert [line.content for line in lines] == ["one", "1", "two"]
    await ledger.consolidated(ADAM, last)
    await ledger.consolidated(ADAM, last - 1)
    end, rest = await ledger.unconsolidated(ADAM, 3)
    assert [line.content for line in rest] == ["2"]
    await ledger.consolidated(ADAM, end)
    assert await ledger.unconsolidated(ADAM, 3) == (0, [])


async def test_forgetting_leaves_nothing_of_her(ledger: Ledger, path: Path) -> None:
    """A deleted persona leaves no row and no text in the file; another persona's data is untouched."""
    heard = await hear(ledger, "the quick brown secret")
    await hear(ledger, "another quick brown secret")
    await ledger.tell(ADAM, TELEGRAM, "cannot think", 1, 5_000)
    await ledger.answer(ADAM, [heard], WEB, [Outgoing("a quick brown answer")], [2], 5_001)
    await ledger.consolidated(ADAM, 1)
    await hear(ledger, "kept words", EVE)
    await ledger.forget(ADAM)
    assert await ledger.depths() == {EVE: Depth(pending=1)}
    assert await ledger.tell(ADAM, TELEGRAM, "cannot think", 3, 5_002)
    await ledger.close()
    stored = await asyncio.to_thread(path.read_bytes)
    assert b"kept words" in stored
    assert b"quick brown" not in stored


async def test_ids_and_seqs_are_never_used_again(ledger: Ledger) -> None:
    """A deleted persona's last perception id and seq are not given again."""
    assert await ledger.last_seq() == 0
    heard = await hear(ledger, "hello")
    await ledger.answer(ADAM, [heard], WEB, [Outgoing("a"), Outgoing("b")], [50, 40], 5_000)
    await ledger.forget(ADAM)
    assert await ledger.last_seq() == 50
    assert await hear(ledger, "hello", EVE) > heard


async def test_everything_is_there_after_a_restart(ledger: Ledger, path: Path) -> None:
    """A closed ledger opens with its content, and its log is folded into the one file."""
    waiting = await hear(ledger, "hello")
    await ledger.tell(ADAM, WEB, "cannot think", 77, 5_000)
    await ledger.close()
    assert {file.name for file in path.parent.iterdir()} == {"ledger.db", "ledger.mark"}
    again = await Ledger.open(path)
    try:
        assert [row.perception.id for row in await again.waiting(ADAM)] == [waiting]
        assert await again.last_seq() == 77
        assert not await again.tell(ADAM, WEB, "cannot think", 78, 5_001)
    finally:
        await again.close()


async def test_pruned_rows_take_old_keys_and_old_frames_only(ledger: Ledger) -> None:
    """Pruning deletes answered keys and replays older than the limit, and nothing that is open or newer."""
    old = await ledger.accept(ADAM, WEB, "text", "old", None, 1_000, "old-key")
    new = await ledger.accept(ADAM, WEB, "text", "new", None, 9_000, "new-key")
    unanswered = await ledger.accept(ADAM, WEB, "text", "open", None, 1_000, "open-key")
    assert old
    assert new
    assert await ledger.answer(ADAM, [old], WEB, [Outgoing("to old")], [11], 1_500)
    assert await ledger.answer(ADAM, [new], WEB, [Outgoing("to new")], [12], 9_500)
    await ledger.prune(5_000)
    assert [frame.seq for frame in await ledger.frames(ADAM, 0, 10)] == [12]
    assert [waiting.perception.id for waiting in await ledger.waiting(ADAM)] == [unanswered]
    assert await ledger.accept(ADAM, WEB, "text", "again", None, 9_900, "new-key") is None
    assert await ledger.accept(ADAM, WEB, "text", "again", None, 9_900, "old-key") is not None
    assert [line.content for line in await ledger.conversation(ADAM)][:2] == ["old", "open"]
