"""Pairing: codes that expire, messages held within limits, and their release."""

from __future__ import annotations

import asyncio

import pytest

from daemon.ledger import ChannelUnknown, Committed, Ledger, LedgerError, PendingPairing
from daemon.ledger.pairing import CODES, HELD, HELD_CHANNEL, HELD_CHARACTERS
from tests.daemon.ledger.gateway_messages import (
    ADAM,
    CHANNEL,
    CONVERSATION,
    EVE,
    OTHER,
    add,
    inbound,
    the_channel,
    waiting,
)


async def code(ledger: Ledger, account: str, hash_: str, expires: int = 1_000, now: int = 1) -> bool:
    """Give an account a code on the channel."""
    return await ledger.add_code(ADAM, CHANNEL, account, f"@{account}", account, hash_, expires, now)


async def released(ledger: Ledger) -> list[str]:
    """Bind the channel to account 42 and return the messages that now wait."""
    await ledger.bind(ADAM, CHANNEL, "42", "alice", "42")
    return [row.perception.content for row in await ledger.release(ADAM, CHANNEL, CONVERSATION)]


async def test_a_code_is_found_until_it_expires(ledger: Ledger) -> None:
    """A code finds its account, only for its persona and until it expires; a dropped one is gone."""
    await add(ledger)
    assert await code(ledger, "42", "hash", expires=100)
    assert await ledger.find_code(ADAM, "hash", 99) == PendingPairing(CHANNEL, "42", "@42", "42")
    assert await ledger.find_code(ADAM, "hash", 100) is None
    assert await ledger.find_code(EVE, "hash", 99) is None
    assert await ledger.find_code(ADAM, "other", 99) is None
    await ledger.drop_code("hash")
    assert await ledger.find_code(ADAM, "hash", 99) is None


async def test_a_new_code_replaces_the_accounts_old_one(ledger: Ledger) -> None:
    """Only the latest code that an account was shown is valid."""
    await add(ledger)
    assert await code(ledger, "42", "first")
    assert await code(ledger, "42", "second", expires=2_000)
    assert await ledger.find_code(ADAM, "first", 2) is None
    assert await ledger.find_code(ADAM, "second", 1_500) == PendingPairing(CHANNEL, "42", "@42", "42")


async def test_a_few_accounts_have_codes_at_a_time(ledger: Ledger) -> None:
    """One account too many gets no code until another's has expired; an account with a code may renew it."""
    await add(ledger)
    for number in range(CODES):
        assert await code(ledger, str(number), f"hash-{number}", expires=100 + number)
    assert not await code(ledger, "99", "late")
    assert await ledger.find_code(ADAM, "late", 2) is None
    assert await code(ledger, "1", "renewed")
    assert await code(ledger, "99", "late", now=100)
    assert await ledger.find_code(ADAM, "hash-0", 2) is None


async def test_another_channels_codes_do_not_count(ledger: Ledger) -> None:
    """The limit is per channel."""
    await add(ledger)
    await add(ledger, OTHER, bot="901")
    for number in range(CODES):
        assert await code(ledger, str(number), f"hash-{number}")
    assert await ledger.add_code(ADAM, OTHER, "99", "bob", "99", "there", 1_000, 1)


async def test_two_accounts_never_share_a_code(ledger: Ledger) -> None:
    """A code in use is refused to another account and stays with the first."""
    await add(ledger)
    assert await code(ledger, "42", "hash")
    with pytest.raises(LedgerError, match="UNIQUE"):
        await code(ledger, "43", "hash")
    assert await ledger.find_code(ADAM, "hash", 2) == PendingPairing(CHANNEL, "42", "@42", "42")


async def test_first_messages_are_released_to_the_bound_account(ledger: Ledger) -> None:
    """The bound account's messages wait for her in order; others' messages and all codes of the channel are gone."""
    await add(ledger)
    held = [inbound(1, "one"), inbound(2, "not for her", account="50"), inbound(3, "two")]
    assert await ledger.hold(ADAM, CHANNEL, held, 9) == 3
    assert await waiting(ledger) == []
    await code(ledger, "42", "mine")
    await code(ledger, "50", "theirs")
    assert await ledger.release(ADAM, CHANNEL, CONVERSATION) == []
    await ledger.bind(ADAM, CHANNEL, "42", "alice", "42")
    rows = await ledger.release(ADAM, CHANNEL, CONVERSATION)
    assert rows == await ledger.waiting(ADAM)
    assert [(row.perception.content, row.perception.at, row.conversation) for row in rows] == [
        ("one", 5, CONVERSATION),
        ("two", 5, CONVERSATION),
    ]
    assert await ledger.find_code(ADAM, "mine", 2) is None
    assert await ledger.find_code(ADAM, "theirs", 2) is None
    row = await the_channel(ledger)
    assert (row.received, row.last_key) == (2, "3")
    await ledger.bind(ADAM, CHANNEL, "50", "bob", "50")
    assert await ledger.release(ADAM, CHANNEL, CONVERSATION) == []


async def test_a_release_happens_once(ledger: Ledger) -> None:
    """Repeated, even concurrently, it returns nothing more, and the same messages delivered again are known."""
    await add(ledger)
    batch = [inbound(1, "one"), inbound(2, "two")]
    await ledger.hold(ADAM, CHANNEL, batch, 9)
    await ledger.bind(ADAM, CHANNEL, "42", "alice", "42")
    outcomes = await asyncio.gather(*(ledger.release(ADAM, CHANNEL, CONVERSATION) for _ in range(10)))
    assert sorted(len(outcome) for outcome in outcomes) == [0] * 9 + [2]
    assert await ledger.take(ADAM, CHANNEL, CONVERSATION, batch, 10) == Committed([], [])
    assert await ledger.hold(ADAM, CHANNEL, batch, 11) == 2
    assert await ledger.release(ADAM, CHANNEL, CONVERSATION) == []
    assert await waiting(ledger) == ["one", "two"]
    assert (await the_channel(ledger)).received == 2


async def test_held_messages_survive_a_restart(ledger: Ledger) -> None:
    """A code and its held messages are there after a restart."""
    await add(ledger)
    await ledger.hold(ADAM, CHANNEL, [inbound(1, "one")], 9)
    await code(ledger, "42", "hash")
    path = ledger._reader._path
    await ledger.close()
    again = await Ledger.open(path)
    assert await again.find_code(ADAM, "hash", 2) == PendingPairing(CHANNEL, "42", "@42", "42")
    assert await released(again) == ["one"]
    await again.close()


async def test_a_message_is_held_once(ledger: Ledger) -> None:
    """A repeated key, in its batch or later, is not held twice. A message without a time gets the daemon's."""
    await add(ledger)
    assert await ledger.hold(ADAM, CHANNEL, [inbound(1, "one", at=0), inbound(1, "one")], 9) == 1
    assert await ledger.hold(ADAM, CHANNEL, [inbound(1, "one"), inbound(2, "two")], 10) == 1
    assert await released(ledger) == ["one", "two"]
    assert [row.perception.at for row in await ledger.waiting(ADAM)] == [9, 5]


async def test_an_account_is_held_to_its_number_of_messages(ledger: Ledger) -> None:
    """The first messages are kept, over any batches, and another account still has room."""
    await add(ledger)
    batches = [[inbound(n, str(n)) for n in range(start, start + 15)] for start in (0, 15)]
    assert [await ledger.hold(ADAM, CHANNEL, batch, 9) for batch in batches] == [15, HELD - 15]
    assert await ledger.hold(ADAM, CHANNEL, [inbound(99, account="50")], 9) == 1
    assert await released(ledger) == [str(n) for n in range(HELD)]


async def test_an_account_is_held_to_its_number_of_characters(ledger: Ledger) -> None:
    """What does not fit is left out, even behind a NUL, and what still fits is kept."""
    await add(ledger)
    most = "\0" + "é" * (HELD_CHARACTERS - 2)
    assert await ledger.hold(ADAM, CHANNEL, [inbound(1, most)], 9) == 1
    assert await ledger.hold(ADAM, CHANNEL, [inbound(2, "ab"), inbound(3, "c"), inbound(4, "d")], 9) == 1
    assert await released(ledger) == [most, "c"]


async def test_a_channel_is_held_to_its_number_of_messages(ledger: Ledger) -> None:
    """Many accounts together can fill a channel but not exceed it; another channel has its own room."""
    await add(ledger)
    await add(ledger, OTHER, bot="901")
    crowd = [inbound(n, account=str(n // 10)) for n in range(HELD_CHANNEL + 50)]
    kept = [await ledger.hold(ADAM, CHANNEL, batch, 9) for batch in (crowd[:120], crowd[120:])]
    assert kept == [120, HELD_CHANNEL - 120]
    assert await ledger.hold(ADAM, OTHER, crowd[:1], 9) == 1


async def test_nothing_is_held_for_a_channel_that_is_gone(ledger: Ledger) -> None:
    """Messages and codes for a channel that is not in the ledger are refused, so that nothing is confirmed."""
    with pytest.raises(ChannelUnknown):
        await ledger.hold(ADAM, CHANNEL, [inbound(1)], 9)
    with pytest.raises(ChannelUnknown):
        await code(ledger, "42", "hash")
    assert await ledger.release(ADAM, CHANNEL, CONVERSATION) == []


async def test_pruning_deletes_old_codes_and_old_held_messages(ledger: Ledger) -> None:
    """What is older than the limit is deleted, the rest stays."""
    await add(ledger)
    await ledger.hold(ADAM, CHANNEL, [inbound(1, "old", at=10), inbound(2, "new", at=100)], 9)
    await code(ledger, "42", "old", expires=10)
    await code(ledger, "50", "new", expires=100)
    await ledger.prune(50)
    assert await ledger.find_code(ADAM, "old", 2) is None
    assert await ledger.find_code(ADAM, "new", 2) is not None
    assert await released(ledger) == ["new"]
