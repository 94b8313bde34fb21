"""Delivery: open messages, the state that a crash leaves them in, retries, counts and dead letters."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from daemon.ledger import DeadLetter, Depth, Ledger, OutgoingRow, delivery
from proto.messages import Conversation, Outgoing
from tests.daemon.ledger.gateway_messages import (
    ADAM,
    CHANNEL,
    CONVERSATION,
    EVE,
    OTHER,
    OTHER_CONVERSATION,
    WEB,
    pair,
    say,
    the_channel,
)
from tests.daemon.ledger.kept_lines import kept_lines


async def the_row(ledger: Ledger) -> OutgoingRow:
    """Return Adam's one open message."""
    [row] = await ledger.outgoing(ADAM)
    return row


async def seqs(ledger: Ledger) -> list[int]:
    """Return the seqs of Adam's open messages."""
    return [row.seq for row in await ledger.outgoing(ADAM)]


async def test_what_is_open_comes_in_order(ledger: Ledger) -> None:
    """Messages for gateways come whole, by seq, over all conversations, without the web's and other personas'."""
    voice = Outgoing("listen", "audio", "voice.ogg")
    assert await ledger.answer(ADAM, [], CONVERSATION, [Outgoing("first"), voice], [30, 31], 1_000)
    await say(ledger, 10, "earlier", OTHER_CONVERSATION)
    await say(ledger, 20, "on the web", WEB)
    assert await ledger.answer(EVE, [], CONVERSATION, [Outgoing("hers")], [40], 1_000)
    rows = await ledger.outgoing(ADAM)
    assert [(row.seq, row.content, row.channel, row.chat) for row in rows] == [
        (10, "earlier", OTHER, "42"),
        (30, "first", CHANNEL, "42"),
        (31, "listen", CHANNEL, "42"),
    ]
    key = rows[2].key
    assert len({row.key for row in rows}) == 3
    assert rows[2] == OutgoingRow(
        31,
        key,
        "telegram",
        "alice",
        CHANNEL,
        "42",
        "audio",
        "listen",
        "voice.ogg",
        0,
        0,
        0,
        ambiguous=False,
        created_at=1_000,
    )
    assert rows[2].ambiguous is False


async def test_a_delivered_message_is_counted_once(ledger: Ledger) -> None:
    """A sent message is no longer open. Recording it again, or anything else about it, changes nothing."""
    await pair(ledger)
    await pair(ledger, OTHER, bot="901")
    await say(ledger, 1)
    assert await ledger.sending(1) == "open"
    await ledger.sent(1, 2_000)
    await ledger.sent(1, 2_001)
    await ledger.dead(1, "too late")
    await ledger.retry_later(1, 5, "too late", ambiguous=True)
    await ledger.part_sent(1, 1)
    assert await ledger.sending(1) == "closed"
    assert await ledger.outgoing(ADAM) == []
    assert await ledger.dead_letters(ADAM, 10) == []
    assert [(row.channel, row.sent, row.dead) for row in await ledger.channels(ADAM)] == [
        (CHANNEL, 1, 0),
        (OTHER, 0, 0),
    ]


async def test_what_was_being_sent_is_ambiguous(ledger: Ledger) -> None:
    """Read back while it is marked as sending, or after a boot, a message is ambiguous; other messages are not."""
    await say(ledger, 1)
    await say(ledger, 2)
    assert await ledger.sending(1) == "open"
    assert [row.ambiguous for row in await ledger.outgoing(ADAM)] == [True, False]
    assert await ledger.reopen_sending() == 1
    assert await ledger.reopen_sending() == 0
    rows = await ledger.outgoing(ADAM)
    assert [row.ambiguous for row in rows] == [True, False]
    assert rows[0].ambiguous is True
    assert await ledger.depths() == {ADAM: Depth(outbox_pending=2)}
    assert await kept_lines(ledger, ADAM) == 2


async def test_parts_are_remembered(ledger: Ledger, path: Path) -> None:
    """A delivered part ends the ambiguity before it, survives a retry, and is never taken back."""
    await say(ledger, 1)
    await ledger.sending(1)
    await ledger.reopen_sending()
    assert state(path) == "ambiguous"
    await ledger.part_sent(1, 2)
    assert state(path) == "sending"
    await ledger.part_sent(1, 1)
    await ledger.retry_later(1, 7_000, "timeout", ambiguous=False)
    row = await the_row(ledger)
    assert (row.parts_sent, row.attempts, row.not_before, row.ambiguous) == (2, 1, 7_000, False)


def state(path: Path) -> str:
    """Return the state of the one message, as an operator would read it."""
    connection = sqlite3.connect(path)
    [(found,)] = connection.execute("SELECT state FROM outbox").fetchall()
    connection.close()
    return str(found)


async def test_a_failed_try_is_counted_and_put_off(ledger: Ledger) -> None:
    """Each failure adds an attempt, sets the next time and records whether the message may have been sent after all."""
    await say(ledger, 1)
    for attempt, ambiguous in enumerate((True, False), start=1):
        await ledger.sending(1)
        await ledger.retry_later(1, attempt * 100, "timeout", ambiguous=ambiguous)
        row = await the_row(ledger)
        assert (row.attempts, row.not_before, row.ambiguous) == (attempt, attempt * 100, ambiguous)


async def test_dead_letters_are_counted_and_listed(ledger: Ledger) -> None:
    """Dead letters are listed newest first with their reason, counted once, and never sent."""
    await pair(ledger)
    for seq in (1, 2, 3):
        await say(ledger, seq, f"message {seq}", at=seq * 100)
    for seq in (1, 3, 3):
        await ledger.dead(seq, f"reason {seq}")
    await ledger.sent(3, 9_000)
    assert await seqs(ledger) == [2]
    assert await ledger.dead_letters(ADAM, 10) == [
        DeadLetter(3, "telegram", "alice", "message 3", "reason 3", 300),
        DeadLetter(1, "telegram", "alice", "message 1", "reason 1", 100),
    ]
    assert [letter.seq for letter in await ledger.dead_letters(ADAM, 1)] == [3]
    assert await ledger.dead_letters(EVE, 10) == []
    row = await the_channel(ledger)
    assert (row.sent, row.dead) == (0, 2)
    assert await ledger.depths() == {ADAM: Depth(outbox_pending=1, outbox_dead=2)}
    assert await kept_lines(ledger, ADAM) == 3


async def test_a_blocked_chat_ends_its_own_messages_only(ledger: Ledger) -> None:
    """All open messages of the chat become dead, once. Other chats, personas and later messages are not affected."""
    await pair(ledger)
    await say(ledger, 2)
    await say(ledger, 1)
    await ledger.sending(1)
    await say(ledger, 3, where=Conversation("telegram", "alice", CHANNEL, "420"))
    await say(ledger, 4, where=OTHER_CONVERSATION)
    assert await ledger.answer(EVE, [], CONVERSATION, [Outgoing("hers")], [5], 1_000)
    assert await ledger.blocked(ADAM, CHANNEL, "42", "the person blocked the bot") == [1, 2]
    assert await ledger.blocked(ADAM, CHANNEL, "42", "again") == []
    assert await seqs(ledger) == [3, 4]
    assert [row.seq for row in await ledger.outgoing(EVE)] == [5]
    letters = {(letter.seq, letter.reason) for letter in await ledger.dead_letters(ADAM, 10)}
    assert letters == {(1, "the person blocked the bot"), (2, "the person blocked the bot")}
    assert (await the_channel(ledger)).dead == 2
    await say(ledger, 6)
    assert await seqs(ledger) == [3, 4, 6]


async def test_a_message_without_a_channel_is_settled_all_the_same(ledger: Ledger) -> None:
    """A message whose channel is not in the ledger can still be sent or given up."""
    await say(ledger, 1)
    await say(ledger, 2)
    await ledger.sent(1, 2_000)
    await ledger.dead(2, "gone")
    assert await seqs(ledger) == []


async def test_pruning_takes_what_was_sent_or_given_up_long_ago(ledger: Ledger, path: Path) -> None:
    """Old final rows go, by the time of sending if there was one; open ones stay, however old."""
    await pair(ledger)
    for seq, at in ((1, 10), (2, 10), (3, 10), (4, 100), (5, 10)):
        await say(ledger, seq, at=at)
    await ledger.sent(1, 20)
    await ledger.sent(2, 90)
    await ledger.dead(3, "old")
    await ledger.dead(4, "new")
    await ledger.prune(50)
    assert await seqs(ledger) == [5]
    assert [letter.seq for letter in await ledger.dead_letters(ADAM, 10)] == [4]
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT seq FROM outbox ORDER BY seq").fetchall() == [(2,), (4,), (5,)]
    connection.close()


async def test_what_is_open_is_found_without_what_was_sent(ledger: Ledger, path: Path) -> None:
    """Reading open rows, and changing a row's state, uses an index, however many rows were sent."""
    await say(ledger, 1)
    connection = sqlite3.connect(path)
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    delivery.outgoing(connection, ADAM)
    delivery.blocked(connection, ADAM, CHANNEL, "43", "blocked", 9)
    delivery.sending(connection, 1)
    delivery.sent(connection, 1, 2_000, "")
    connection.set_trace_callback(None)
    reading = [text for text in statements if text.startswith(("SELECT", "UPDATE"))]
    plans = [connection.execute(f"EXPLAIN QUERY PLAN {text}").fetchone()[3] for text in reading]
    connection.close()
    assert ["SEARCH" in plan for plan in plans] == [True] * 9
    assert "outbox_open" in plans[0]
    assert "outbox_open" in plans[1]
