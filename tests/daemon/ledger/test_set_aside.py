"""What is set aside is told once, shown with its reason, and taken up again or dropped."""

from __future__ import annotations

from daemon.ledger import DIED, Depth, Ledger, Notice, SetAside, StoredLine, Waiting
from proto.messages import Conversation, Line, Outgoing, Perception
from tests.daemon.ledger.kept_lines import kept_lines

ADAM = "0a1b2c3d-0000-4000-8000-000000000001"
EVE = "0a1b2c3d-0000-4000-8000-000000000002"
WEB = Conversation("web", "web")


async def hear(ledger: Ledger, text: str, persona: str = ADAM) -> int:
    """Accept a message."""
    accepted = await ledger.accept(persona, WEB, "text", text, None, 1_000, None)
    assert accepted is not None
    return accepted


async def refuse(ledger: Ledger, number: int, seq: int, persona: str = ADAM) -> bool:
    """Let her mind refuse a message."""
    return await ledger.refuse(persona, [number], "a filter", Notice(number, WEB, "I cannot", seq), 2_000)


async def test_a_refusal_is_told_once_and_shown(ledger: Ledger) -> None:
    """One transaction sets the message aside and tells its sender; a repetition changes nothing."""
    bad, fine = await hear(ledger, "bad"), await hear(ledger, "fine")
    assert await refuse(ledger, bad, 1)
    assert not await refuse(ledger, bad, 2)
    assert [frame.content for frame in await ledger.frames(ADAM, 0, 10)] == ["I cannot"]
    assert [one.perception.id for one in await ledger.waiting(ADAM)] == [fine]
    assert await ledger.set_aside(ADAM, 10) == [SetAside(bad, WEB, "text", "bad", "", 1_000, "a filter")]
    assert await ledger.conversation(ADAM) == [
        StoredLine("person", "bad", 1_000, None, WEB, set_aside=bad, reason="a filter"),
        StoredLine("person", "fine", 1_000, None, WEB),
        StoredLine("assistant", "I cannot", 2_000, None, WEB, id=1),
    ]
    assert await ledger.history(ADAM, WEB, 10) == []


async def test_a_refusal_ends_the_outage(ledger: Ledger) -> None:
    """Her mind was reached: the next outage is told again."""
    bad = await hear(ledger, "bad")
    assert await ledger.tell(ADAM, WEB, "away", 1, 1_500)
    assert await refuse(ledger, bad, 2)
    assert await ledger.tell(ADAM, WEB, "away", 3, 2_500)


async def test_another_personas_message_is_not_refused(ledger: Ledger) -> None:
    """The refusal of one persona's mind sets nothing of another's aside."""
    hers = await hear(ledger, "hers", EVE)
    assert not await refuse(ledger, hers, 1)
    assert await ledger.take_up(EVE, None) == []


async def test_the_last_death_is_told(ledger: Ledger) -> None:
    """The sender learns of it in the transaction that sets the message aside, and not before."""
    deadly = await hear(ledger, "deadly")
    notice = Notice(deadly, WEB, "I could not", 7)
    assert await ledger.died(ADAM, [notice], 2, 2_000) == []
    assert await ledger.frames(ADAM, 0, 10) == []
    assert await ledger.died(ADAM, [notice], 2, 2_000) == [deadly]
    assert await ledger.died(ADAM, [notice], 2, 2_000) == []
    assert [(frame.seq, frame.content) for frame in await ledger.frames(ADAM, 0, 10)] == [(7, "I could not")]
    assert [one.reason for one in await ledger.set_aside(ADAM, 10)] == [DIED]


async def test_what_is_taken_up_waits_as_if_it_were_new(ledger: Ledger) -> None:
    """One or all; its deaths are forgotten, and others are not touched."""
    first, second, third = [await hear(ledger, text) for text in ("one", "two", "three")]
    hers = await hear(ledger, "hers", EVE)
    notice = Notice(first, WEB, "I could not", first)
    assert [await ledger.died(ADAM, [notice], 2, 2_000) for _ in range(2)] == [[], [first]]
    for number in (second, third):
        await refuse(ledger, number, number)
    await refuse(ledger, hers, 99, EVE)
    assert await ledger.take_up(ADAM, hers) == []
    assert await ledger.take_up(ADAM, second) == [Waiting(Perception(second, "text", "two", 1_000), WEB, 0)]
    assert [one.perception.id for one in await ledger.take_up(ADAM, None)] == [first, third]
    assert [one.perception.id for one in await ledger.waiting(ADAM)] == [first, second, third]
    assert await ledger.take_up(ADAM, None) == []
    assert await ledger.depths() == {ADAM: Depth(pending=3), EVE: Depth(poison=1)}
    assert await kept_lines(ledger, ADAM) == 3
    assert await kept_lines(ledger, EVE) == 1
    assert await ledger.died(ADAM, [notice], 2, 3_000) == []


async def test_what_is_dropped_stays_a_line_that_her_mind_never_sees(ledger: Ledger) -> None:
    """It is closed without an answer: her owner still sees it, no prompt and no consolidation does."""
    bad, fine = await hear(ledger, "bad"), await hear(ledger, "fine")
    await refuse(ledger, bad, 1)
    assert await ledger.drop_set_aside(ADAM, fine) == []
    assert await ledger.drop_set_aside(ADAM, bad) == [bad]
    assert await ledger.drop_set_aside(ADAM, None) == []
    assert await ledger.answer(ADAM, [fine], WEB, [Outgoing("good")], [2], 3_000)
    assert [line.content for line in await ledger.conversation(ADAM)] == ["I cannot", "bad", "fine", "good"]
    assert await ledger.history(ADAM, WEB, 10) == [Line("person", "fine", 1_000), Line("assistant", "good", 3_000)]
    assert [line.content for line in (await ledger.unconsolidated(ADAM, 10))[1]] == ["fine", "good"]
