"""Channels: one per bot, messages that are kept once, counters, and what a removed channel leaves."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from daemon.ledger import (
    ChannelTaken,
    ChannelUnknown,
    Committed,
    Depth,
    Ledger,
    LedgerError,
    StoredChannel,
    StoredLine,
    Waiting,
)
from proto.gateways import Inbound
from proto.messages import Conversation, Perception
from tests.daemon.ledger.gateway_messages import (
    ADAM,
    CHANNEL,
    CONVERSATION,
    EVE,
    OTHER,
    OTHER_CONVERSATION,
    add,
    inbound,
    pair,
    say,
    the_channel,
    waiting,
)
from tests.daemon.ledger.kept_lines import kept_lines


async def test_a_channel_is_added_once_and_keeps_its_state(ledger: Ledger) -> None:
    """Adding a channel again renames the bot and keeps the pairing and the counters."""
    await ledger.add_channel(ADAM, CHANNEL, "telegram", "900", "old_bot", 1)
    await ledger.bind(ADAM, CHANNEL, "42", "alice", "43")
    await ledger.strangers(ADAM, CHANNEL, ["1"])
    await ledger.channel_error(ADAM, CHANNEL, "unreachable", 7)
    await ledger.add_channel(ADAM, CHANNEL, "telegram", "900", "new_bot", 2)
    await add(ledger, OTHER, bot="901")
    fresh = StoredChannel(OTHER, "telegram", "901", "bot_901", None, None, None, None, 0, 0, 0, 0, None, None)
    assert await ledger.channels(ADAM) == [
        StoredChannel(CHANNEL, "telegram", "900", "new_bot", "42", "alice", "43", None, 0, 1, 0, 0, "unreachable", 7),
        fresh,
    ]
    assert await ledger.channels(EVE) == []


@pytest.mark.parametrize(
    ("persona", "channel", "bot", "owner"),
    [
        (EVE, CHANNEL, "950", ADAM),
        (EVE, "00000000000000cc", "900", ADAM),
        (ADAM, "00000000000000cc", "900", ADAM),
        (ADAM, OTHER, "900", ADAM),
    ],
)
async def test_a_bot_belongs_to_one_channel(ledger: Ledger, persona: str, channel: str, bot: str, owner: str) -> None:
    """The same token for another persona, or the same bot with another token, is refused, and nothing changes."""
    await add(ledger)
    await add(ledger, OTHER, bot="901")
    before = await ledger.channels(ADAM)
    with pytest.raises(ChannelTaken, match="remove that one first") as refused:
        await ledger.add_channel(persona, channel, "telegram", bot, "thief", 2)
    assert refused.value.owner == owner
    assert isinstance(refused.value, LedgerError)
    assert await ledger.channels(ADAM) == before
    assert await ledger.channels(EVE) == []


async def test_the_same_number_with_another_provider_is_another_bot(ledger: Ledger) -> None:
    """Bot ids are unique per provider, and removing a channel frees its bot."""
    await add(ledger)
    await ledger.add_channel(EVE, OTHER, "discord", "900", "discord_bot", 1)
    await ledger.remove_channel(ADAM, CHANNEL)
    await add(ledger, CHANNEL, EVE)
    assert len(await ledger.channels(EVE)) == 2


async def test_of_two_that_add_a_bot_at_once_one_gets_it(ledger: Ledger) -> None:
    """Of several concurrent adds of one bot, one succeeds."""
    outcomes = await asyncio.gather(
        *(ledger.add_channel(f"persona-{n}", f"{n:016x}", "telegram", "900", "bot", n) for n in range(20)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes].count(ChannelTaken) == 19


async def test_messages_of_the_paired_person_wait_once(ledger: Ledger) -> None:
    """A batch is kept in order. Repeated, overlapping and self-repeating batches add only new messages."""
    await pair(ledger)
    photo = Inbound(
        "8", "42", "alice", "42", private=True, kind="image", content="look", at=0, media="telegram-8-1.jpg"
    )
    first = await ledger.take(ADAM, CHANNEL, CONVERSATION, [inbound(7, "one", at=5), photo, inbound(7, "one")], 99)
    assert first == Committed(await ledger.waiting(ADAM), [])
    assert [row.perception for row in first.waiting] == [
        Perception(first.waiting[0].perception.id, "text", "one", 5),
        Perception(first.waiting[1].perception.id, "image", "look", 99, "telegram-8-1.jpg"),
    ]
    assert {(row.conversation, row.deaths) for row in first.waiting} == {(CONVERSATION, 0)}
    assert await ledger.take(ADAM, CHANNEL, CONVERSATION, [inbound(7, "one"), photo], 100) == Committed([], [])
    again = await ledger.take(ADAM, CHANNEL, CONVERSATION, [photo, inbound(9, "three")], 101)
    assert [row.perception.content for row in again.waiting] == ["three"]
    assert await waiting(ledger) == ["one", "look", "three"]
    row = await the_channel(ledger)
    assert (row.received, row.last_key) == (3, "9")


async def test_concurrent_repetitions_of_a_batch_are_taken_once(ledger: Ledger) -> None:
    """When the same batch is taken many times at once, only one call commits it."""
    await pair(ledger)
    batch = [inbound(key, f"word {key}") for key in range(10)]
    outcomes = await asyncio.gather(*(ledger.take(ADAM, CHANNEL, CONVERSATION, batch, 9) for _ in range(20)))
    assert sorted(len(outcome.waiting) for outcome in outcomes) == [0] * 19 + [10]
    assert (await the_channel(ledger)).received == 10


async def test_an_answered_key_is_not_taken_again(ledger: Ledger) -> None:
    """A message that is delivered again after its answer is recognized."""
    await pair(ledger)
    [taken] = (await ledger.take(ADAM, CHANNEL, CONVERSATION, [inbound(7)], 9)).waiting
    assert await ledger.answer(ADAM, [taken.perception.id], CONVERSATION, [], [], 10)
    assert await ledger.take(ADAM, CHANNEL, CONVERSATION, [inbound(7)], 11) == Committed([], [])


async def test_a_command_is_given_once_and_never_waits(ledger: Ledger) -> None:
    """Commands are listed in order at their first delivery and counted, but are not perceptions."""
    await pair(ledger)
    batch = [inbound(7, command="restart"), inbound(8, "words"), inbound(9, "now", command="stop")]
    taken = await ledger.take(ADAM, CHANNEL, CONVERSATION, batch, 9)
    assert taken.commands == ["restart", "stop"]
    assert await ledger.take(ADAM, CHANNEL, CONVERSATION, batch, 10) == Committed([], [])
    assert await waiting(ledger) == ["words"]
    assert [line.content for line in await ledger.conversation(ADAM)] == ["words"]
    row = await the_channel(ledger)
    assert (row.received, row.last_key) == (3, "9")


async def test_the_last_key_is_the_largest_number(ledger: Ledger) -> None:
    """Keys are compared as numbers of any length, in any order. A key that is not a number is ignored."""
    await pair(ledger)
    for key, last in ((9, "9"), (10, "10"), (8, "10"), ("edit-99", "10"), (2**70, str(2**70))):
        await ledger.take(ADAM, CHANNEL, CONVERSATION, [inbound(key)], 9)
        assert (await the_channel(ledger)).last_key == last
    await ledger.bind(ADAM, CHANNEL, "42", "renamed", "42")
    assert (await the_channel(ledger)).last_key == str(2**70)
    await ledger.bind(ADAM, CHANNEL, "43", "bob", "43")
    assert (await the_channel(ledger)).last_key is None


async def test_nothing_is_taken_for_a_channel_that_is_gone(ledger: Ledger) -> None:
    """A removed channel, or another persona's, takes nothing and raises, so that nothing is confirmed."""
    await pair(ledger)
    with pytest.raises(ChannelUnknown, match="removed, or never added"):
        await ledger.take(EVE, CHANNEL, CONVERSATION, [inbound(7)], 9)
    await ledger.remove_channel(ADAM, CHANNEL)
    with pytest.raises(ChannelUnknown):
        await ledger.take(ADAM, CHANNEL, CONVERSATION, [inbound(7)], 9)
    with pytest.raises(ChannelUnknown):
        await ledger.bind(ADAM, CHANNEL, "42", "alice", "42")
    assert await ledger.depths() == {}


async def test_strangers_are_counted_on_their_channel(ledger: Ledger) -> None:
    """A batch counts each key once, and other channels' counts stay."""
    await add(ledger)
    await add(ledger, OTHER, bot="901")
    await ledger.strangers(ADAM, CHANNEL, ["1", "2", "2"])
    await ledger.strangers(ADAM, CHANNEL, ["3"])
    assert [(row.channel, row.strangers) for row in await ledger.channels(ADAM)] == [(CHANNEL, 3), (OTHER, 0)]


async def test_a_removed_channel_leaves_its_lines_only(ledger: Ledger) -> None:
    """Waiting messages are done with their lines kept, open ones dead with the reason; other chats go on."""
    await pair(ledger)
    await pair(ledger, OTHER, bot="901")
    await ledger.take(ADAM, CHANNEL, CONVERSATION, [inbound(7, "asked here")], 9)
    await ledger.take(ADAM, OTHER, OTHER_CONVERSATION, [inbound(7, "asked there", at=6)], 9)
    await say(ledger, 1, "sent before")
    await ledger.sent(1, 1_001)
    await say(ledger, 2, "never sent")
    await say(ledger, 3, "there", OTHER_CONVERSATION)
    assert await ledger.tell(ADAM, CONVERSATION, "no mind", 4, 1_000)
    await ledger.remove_channel(ADAM, CHANNEL)
    await ledger.remove_channel(ADAM, CHANNEL)
    assert [row.channel for row in await ledger.channels(ADAM)] == [OTHER]
    assert await waiting(ledger) == ["asked there"]
    assert [row.seq for row in await ledger.outgoing(ADAM)] == [3]
    letters = [(letter.content, letter.reason) for letter in await ledger.dead_letters(ADAM, 10)]
    assert letters == [("no mind", "the channel was removed"), ("never sent", "the channel was removed")]
    shown = await ledger.conversation(ADAM)
    assert [line.content for line in shown if line.conversation == CONVERSATION][-1] == "asked here"
    assert StoredLine("person", "asked there", 6, None, OTHER_CONVERSATION) in shown
    assert await ledger.depths() == {ADAM: Depth(pending=1, outbox_pending=1, outbox_dead=2)}
    assert await kept_lines(ledger, ADAM) == 5


async def test_a_channel_added_again_starts_from_zero(ledger: Ledger) -> None:
    """Added again, it is unpaired and counts from zero, sends an outage notice again, and still knows its keys."""
    await pair(ledger)
    await ledger.take(ADAM, CHANNEL, CONVERSATION, [inbound(7)], 9)
    await ledger.tell(ADAM, CONVERSATION, "no mind", 1, 10)
    await ledger.hold(ADAM, CHANNEL, [inbound(8, account="50")], 9)
    await ledger.add_code(ADAM, CHANNEL, "50", "bob", "50", "hash", 1_000, 1)
    await ledger.remove_channel(ADAM, CHANNEL)
    await add(ledger)
    row = await the_channel(ledger)
    assert (row.account, row.received, row.last_key) == (None, 0, None)
    assert await ledger.find_code(ADAM, "hash", 2) is None
    await ledger.bind(ADAM, CHANNEL, "50", "bob", "50")
    assert await ledger.release(ADAM, CHANNEL, Conversation("telegram", "bob", CHANNEL, "50")) == []
    assert await ledger.take(ADAM, CHANNEL, CONVERSATION, [inbound(7)], 11) == Committed([], [])
    assert await ledger.tell(ADAM, CONVERSATION, "no mind", 2, 12)


async def test_what_was_taken_can_be_answered(ledger: Ledger) -> None:
    """An answer closes the rows that a take returned."""
    await pair(ledger)
    taken: list[Waiting] = (await ledger.take(ADAM, CHANNEL, CONVERSATION, [inbound(7), inbound(8)], 9)).waiting
    assert await ledger.answer(ADAM, [row.perception.id for row in taken], CONVERSATION, [], [], 10)
    assert await waiting(ledger) == []


async def test_forgetting_leaves_nothing_of_her_channels(ledger: Ledger, path: Path) -> None:
    """A deleted persona's channels leave no row and no text in the file; another persona's stay."""
    await pair(ledger)
    await add(ledger, OTHER, EVE, bot="901")
    await ledger.add_channel(ADAM, "00000000000000cc", "discord", "quick brown id", "quick brown bot", 1)
    await ledger.hold(ADAM, CHANNEL, [inbound(7, "quick brown words", account="50")], 9)
    await ledger.add_code(ADAM, CHANNEL, "50", "quick brown fox", "50", "quick brown hash", 1_000, 1)
    await ledger.hold(EVE, OTHER, [inbound(7, "kept words", account="50")], 9)
    await say(ledger, 1, "quick brown letter")
    await ledger.dead(1, "quick brown reason")
    await ledger.forget(ADAM)
    assert await ledger.channels(ADAM) == []
    assert await ledger.dead_letters(ADAM, 10) == []
    assert [row.channel for row in await ledger.channels(EVE)] == [OTHER]
    await ledger.close()
    stored = await asyncio.to_thread(path.read_bytes)
    assert b"kept words" in stored
    assert b"quick brown" not in stored
