"""Open channels: their fields, conversations and counters, how errors show, and what remains of a removed one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from daemon.ledger import ChannelFields, ChannelTaken, ChannelUnknown, Ledger, OpenChannel, SenderLimits
from daemon.ledger.open_channels import messages
from proto.messages import Conversation, Outgoing
from tests.daemon.ledger.deaths import die
from tests.daemon.ledger.gateway_messages import ADAM, CHANNEL, CONVERSATION, EVE, OTHER, WEB, add, inbound, pair

LIMITS: Final = SenderLimits(100, 1000)
FIELDS: Final = ChannelFields(
    name="Shop", welcome="Welcome!", model="m", datasets=("a", "b"), instructions="Only pizza."
)
MINUTE: Final = 60 * 1_000_000_000
VISITOR: Final = Conversation("telegram", "@42", CHANNEL, "42")


async def open_(ledger: Ledger, fields: ChannelFields = FIELDS, channel: str = CHANNEL, at: int = 10) -> None:
    """Add an open channel."""
    await ledger.add_open_channel(ADAM, channel, "telegram", f"bot of {channel}", "bot", fields, at)


async def shown(ledger: Ledger, channel: str = CHANNEL, now: int = 20) -> OpenChannel:
    """Return the channel."""
    found = await ledger.open_channel(channel, now)
    assert found is not None
    return found


async def visit(ledger: Ledger, *items: tuple[str, str, str], at: int = 30) -> list[int]:
    """Let these messages arrive, each ``(key, account, text)``; return the ids of those that wait."""
    inbounds = [inbound(key, words, account, at) for key, account, words in items]
    visited = await ledger.visit(ADAM, CHANNEL, inbounds, [], LIMITS, list(range(at * 100, at * 100 + 50)), at)
    return [one.perception.id for one in visited.waiting]


async def test_what_its_operator_sets_is_kept_and_replaced(ledger: Ledger) -> None:
    """A channel shows the fields that it was created with, then the changed ones, and counts from zero."""
    await open_(ledger)
    found = await shown(ledger)
    assert (found.persona, found.type, found.open, found.fields, found.status) == (
        ADAM,
        "telegram",
        True,
        FIELDS,
        "active",
    )
    assert (found.created_at, found.conversation_count, found.message_count, found.last_message_at) == (10, 0, 0, None)
    changed = ChannelFields(name="Desk", fallback="later", account="x", phone="+4930123", instructions="Pasta, too.")
    await ledger.update_open_channel(CHANNEL, changed, 15)
    await ledger.pause_channel(CHANNEL, paused=True, at=16)
    await ledger.pause_channel(CHANNEL, paused=True, at=99)
    found = await shown(ledger)
    assert (found.fields, found.status, found.updated_at) == (changed, "paused", 16)


async def test_a_channel_belongs_to_one_persona(ledger: Ledger) -> None:
    """The same channel or bot is refused a second time, and a removed channel cannot be changed."""
    await open_(ledger)
    with pytest.raises(ChannelTaken):
        await ledger.add_open_channel(EVE, CHANNEL, "telegram", "another", "bot", FIELDS, 11)
    with pytest.raises(ChannelTaken):
        await ledger.add_open_channel(EVE, OTHER, "telegram", f"bot of {CHANNEL}", "bot", FIELDS, 11)
    await ledger.remove_channel(ADAM, CHANNEL)
    assert await ledger.open_channel(CHANNEL, 20) is None
    for change in (ledger.update_open_channel(CHANNEL, FIELDS, 1), ledger.pause_channel(CHANNEL, paused=True, at=1)):
        with pytest.raises(ChannelUnknown):
            await change


async def test_what_is_committed_is_counted(ledger: Ledger) -> None:
    """Messages and answers count once each in their conversation and channel; a redelivered key does not."""
    await open_(ledger)
    (first, _, third) = await visit(ledger, ("1", "42", "hello"), ("2", "43", "good day"), ("3", "42", "again"))
    assert await visit(ledger, ("1", "42", "hello")) == []
    assert await ledger.answer(ADAM, [first, third], VISITOR, [Outgoing("hi"), Outgoing("there")], [1, 2], 40)
    found = await shown(ledger)
    assert (found.conversation_count, found.message_count, found.last_message_at) == (2, 3 + 2 + 2, 40)
    known = await ledger.channel_conversations(CHANNEL)
    assert [(one.chat, one.name, one.messages, one.last_at) for one in known] == [
        ("42", "@42", 5, 40),
        ("43", "@43", 2, 30),
    ]
    assert await ledger.channel_conversations(CHANNEL, (40, "42")) == known[1:]
    said = await ledger.channel_messages(CHANNEL, "42")
    assert [line.content for line in reversed(said)] == ["hello", "again", "Welcome!", "hi", "there"]
    (welcome, waiting) = await ledger.channel_messages(CHANNEL, "43")
    assert (waiting.id, waiting.content, welcome.content) == (0, "good day", "Welcome!")


async def test_messages_stand_in_the_order_of_their_time(ledger: Ledger) -> None:
    """What waits stands where it was written, and pages of any size hold every message once."""
    await open_(ledger)
    (first,) = await visit(ledger, ("1", "42", "one"), at=30)
    await visit(ledger, ("2", "42", "two"), at=40)
    # An answer to the first, while the second waits, and a line that came late but was written early.
    assert await ledger.answer(ADAM, [first], VISITOR, [Outgoing("to one"), Outgoing("more")], [1, 2], 50)
    await ledger.visit(ADAM, CHANNEL, [inbound("3", "before", at=2)], [], LIMITS, [60, 61], 10_000_000_000)
    written = await ledger.channel_messages(CHANNEL, "42")
    assert [(one.content, one.id > 0) for one in reversed(written)] == [
        ("before", False),
        ("one", True),
        ("Welcome!", True),
        ("two", False),
        ("to one", True),
        ("more", True),
    ]
    assert [one.at for one in written] == sorted((one.at for one in written), reverse=True)
    for size in (1, 2, 4):
        read, place = list[str](), None
        while found := await ledger.channel_messages(CHANNEL, "42", place, size):
            read += [one.content for one in found]
            place = (found[-1].at, found[-1].place)
        assert read == [one.content for one in written]


async def test_a_page_of_messages_is_found_by_an_index(ledger: Ledger, path: Path) -> None:
    """A long conversation is not read whole and sorted for each page."""
    await open_(ledger)
    with closing(sqlite3.connect(path)) as connection:
        seen: list[str] = []
        connection.set_trace_callback(seen.append)
        messages(connection, CHANNEL, "42", (50, 7), 20)
        connection.set_trace_callback(None)
        plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {seen[0]}")]
    assert "USING INDEX conversation_chat (channel=? AND chat=? AND at<?)" in plan[0]
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan


async def test_a_paired_channel_is_counted_too(ledger: Ledger) -> None:
    """Channels of the persona API are shown beside open ones with the same figures."""
    await add(ledger, OTHER, bot="901")
    await pair(ledger, OTHER)
    await open_(ledger)
    conversation = Conversation("telegram", "alice", OTHER, "42")
    await ledger.take(ADAM, OTHER, conversation, [inbound("1"), inbound("2")], 30)
    await ledger.say(ADAM, conversation, "connected", 5, 31)
    found = await shown(ledger, OTHER)
    assert (found.open, found.conversation_count, found.message_count) == (False, 1, 3)
    assert await ledger.channel_messages(OTHER, "42") == []
    assert [row.channel for row in await ledger.open_channels(20)] == [OTHER, CHANNEL]
    assert [row.channel for row in await ledger.open_channels(20, after=(1, OTHER))] == [CHANNEL]
    await ledger.pause_channel(CHANNEL, paused=True, at=21)
    assert [row.channel for row in await ledger.open_channels(20, status="paused")] == [CHANNEL]
    assert [row.channel for row in await ledger.open_channels(20, status="active")] == [OTHER]
    assert await ledger.open_channels(20, type_="sms") == []


async def test_only_her_own_conversations_are_consolidated_and_shown(ledger: Ledger) -> None:
    """Lines of open channels are never consolidated or in her owner's view; with their channel they are erased."""
    await open_(ledger)
    own = await ledger.accept(ADAM, WEB, "text", "mine", None, 29, None)
    (first, _) = await visit(ledger, ("1", "42", "a stranger's"), ("2", "43", "left open"))
    assert own is not None
    assert await ledger.answer(ADAM, [first], VISITOR, [Outgoing("to a stranger")], [1], 40)
    assert await ledger.answer(ADAM, [own], WEB, [Outgoing("to her person")], [2], 41)
    for _ in range(2):
        assert [line.content for line in (await ledger.unconsolidated(ADAM, 10))[1]] == ["mine", "to her person"]
        assert [line.content for line in await ledger.conversation(ADAM)] == ["mine", "to her person"]
        await ledger.remove_channel(ADAM, CHANNEL)
    assert await ledger.history(ADAM, VISITOR, 10) == []
    assert await ledger.channel_conversations(CHANNEL) == []


async def test_what_killed_a_worker_goes_with_its_channel(ledger: Ledger) -> None:
    """A visitor's message that was set aside does not become her owner's when the channel is removed."""
    await open_(ledger)
    (poison,) = await visit(ledger, ("1", "42", "poison"))
    assert await die(ledger, ADAM, [poison], 1) == [poison]
    await ledger.remove_channel(ADAM, CHANNEL)
    assert await ledger.conversation(ADAM) == []


async def test_a_copy_of_her_keeps_visitors_apart(ledger: Ledger) -> None:
    """Restored under another id, visitors' lines stay separate and count for no channel of either persona."""
    await open_(ledger)
    first, _ = await visit(ledger, ("1", "42", "a stranger's"), ("2", "43", "left open"))
    assert await ledger.answer(ADAM, [first], VISITOR, [Outgoing("to a stranger")], [1], 40)
    page = await ledger.archive(ADAM, 0, 10, None)
    assert {line.content for line in page.lines} == {"Welcome!", "a stranger's", "to a stranger", "left open"}
    assert all(line.open for line in page.lines)
    await ledger.put_back(EVE, page.lines)
    assert await ledger.conversation(EVE) == []
    assert await ledger.unconsolidated(EVE, 10) == (0, [])
    assert (await shown(ledger)).message_count == 5
    assert [line.content for line in await ledger.channel_messages(CHANNEL, "42")] == [
        "to a stranger",
        "Welcome!",
        "a stranger's",
    ]


async def test_trouble_shows_by_its_class(ledger: Ledger) -> None:
    """Credential and configuration errors show at once, transient ones after five minutes; both end at recovery."""
    await open_(ledger)
    await ledger.channel_error(ADAM, CHANNEL, "slow down", 100, "throttle")
    await ledger.channel_error(ADAM, CHANNEL, "no network", 200)
    found = await shown(ledger, now=300)
    assert (found.status, found.error, found.error_at, found.error_class) == ("active", "no network", 200, "transient")
    assert (await shown(ledger, now=100 + 5 * MINUTE)).status == "error"
    assert [row.channel for row in await ledger.open_channels(100 + 5 * MINUTE, status="error")] == [CHANNEL]
    await ledger.channel_recovered(ADAM, CHANNEL)
    found = await shown(ledger, now=10 * MINUTE)
    assert (found.status, found.error, found.error_at, found.error_class) == ("active", None, None, None)
    await ledger.channel_error(ADAM, CHANNEL, "revoked", 300, "credential")
    assert (await shown(ledger, now=301)).status == "error"


async def test_a_receipt_tells_what_did_not_arrive(ledger: Ledger) -> None:
    """A message that the provider could not deliver is dead, once; its chat shows why until one arrives."""
    await open_(ledger)
    (first,) = await visit(ledger, ("1", "42", "hello"))
    await ledger.answer(ADAM, [first], VISITOR, [Outgoing("hi"), Outgoing("there")], [1, 2], 40)
    await ledger.sending(1)
    await ledger.sent(1, 41, "SM1")
    assert await ledger.receipt(ADAM, OTHER, "SM1", "unreachable", 42) is None
    assert await ledger.receipt(EVE, CHANNEL, "SM1", "unreachable", 42) is None
    letter = await ledger.receipt(ADAM, CHANNEL, "SM1", "unreachable", 42)
    assert letter is not None
    assert (letter.seq, letter.content, letter.reason) == (1, "hi", "unreachable")
    assert await ledger.receipt(ADAM, CHANNEL, "SM1", "unreachable", 43) is None
    (one,) = await ledger.channel_conversations(CHANNEL)
    assert (one.error, one.error_at) == ("unreachable", 42)
    assert (await shown(ledger)).error is None
    await ledger.sent(2, 50, "SM2")
    (one,) = await ledger.channel_conversations(CHANNEL)
    assert one.error is None
    assert [(row.sent, row.dead) for row in await ledger.channels(ADAM)] == [(2, 1)]


async def test_a_conversation_of_a_channel_added_again_starts_empty(ledger: Ledger) -> None:
    """Removed and added again, the channel counts from zero, and the same person is welcomed again."""
    await open_(ledger)
    await visit(ledger, ("1", "42", "hello"))
    await ledger.remove_channel(ADAM, CHANNEL)
    await ledger.forget(EVE)
    await open_(ledger)
    await visit(ledger, ("2", "42", "hello again"), at=60)
    assert (await shown(ledger)).message_count == 2
    assert CONVERSATION.address == VISITOR.address
