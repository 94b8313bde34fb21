"""Visitors' words are erased with their channel, on request, and after their time; her owner's stay."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from daemon.ledger import Ledger
from proto.gateways import Inbound, Revision, digest
from proto.messages import Conversation, Outgoing
from tests.daemon.ledger.gateway_messages import ADAM, CHANNEL, CONVERSATION, OTHER, inbound, pair, say, waiting
from tests.daemon.ledger.test_open_channels import LIMITS, VISITOR, open_, shown

BOB = Conversation("telegram", "@43", CHANNEL, "43")


def photo(key: int, account: str = "42", at: int = 5) -> Inbound:
    """A visitor's picture."""
    item = inbound(key, "SECRET picture", account, at)
    item.kind, item.media = "image", f"{key}.jpg"
    return item


async def visit(ledger: Ledger, *items: Inbound, channel: str = CHANNEL, at: int = 30) -> list[int]:
    """Let visitors write; returns the perceptions that wait."""
    visited = await ledger.visit(ADAM, channel, list(items), [], LIMITS, list(range(at * 100, at * 100 + 50)), at)
    return [one.perception.id for one in visited.waiting]


async def answered(ledger: Ledger, perception: int, where: Conversation, seq: int) -> None:
    """Have her answer with a picture that she made."""
    words = [Outgoing("SECRET answer", "image", f"made{seq}.png")]
    assert await ledger.answer(ADAM, [perception], where, words, [seq], 40)


def traces(path: Path, word: str) -> list[str]:
    """The tables of the file in which this stands somewhere as a whole word: a random key may hold any two digits."""
    whole = re.compile(rf"\b{re.escape(word)}\b")
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        rows = {table: connection.execute(f'SELECT * FROM "{table}"').fetchall() for table in tables}  # noqa: S608 - from the schema
    return [table for table, found in rows.items() if any(whole.search(str(row)) for row in found)]


async def test_one_conversation(ledger: Ledger, path: Path) -> None:
    """Words, answers, names, keys and counts of one chat are gone, and its files are to be deleted; others' stay."""
    await open_(ledger)
    more = inbound(2, "SECRET more")
    more.revision = Revision("777", digest("SECRET more"))
    first, second, theirs = await visit(ledger, photo(1), more, inbound(3, "from bob", "43"))
    await answered(ledger, first, VISITOR, 1)
    await answered(ledger, theirs, BOB, 2)
    erased = await ledger.erase_conversation(CHANNEL, "42")
    assert erased is not None
    assert (erased.persona, erased.waiting) == (ADAM, [second])
    assert sorted(await ledger.unneeded_files()) == [(ADAM, "1.jpg"), (ADAM, "made1.png")]
    for _, media in await ledger.unneeded_files():
        assert not await ledger.mentions(ADAM, media)
        await ledger.file_gone(ADAM, media)
    # A sender's counts hold no words: they go with the sender.
    assert set(traces(path, "42")) <= {"sender"}
    assert await waiting(ledger) == []
    assert [row.seq for row in await ledger.outgoing(ADAM) if row.chat == "42"] == []
    assert [one.chat for one in await ledger.channel_conversations(CHANNEL)] == ["43"]
    found = await shown(ledger)
    assert (found.conversation_count, found.message_count) == (1, 3)
    assert len(await ledger.channel_messages(CHANNEL, "43")) == 3
    assert await ledger.erase_conversation(CHANNEL, "42") is None
    assert len(await visit(ledger, inbound(9, "hello again"), at=50)) == 1


async def test_an_answer_to_erased_words_is_not_kept(ledger: Ledger) -> None:
    """What her mind still had in hand comes too late."""
    await open_(ledger)
    (first,) = await visit(ledger, inbound(1, "SECRET"))
    await ledger.erase_conversation(CHANNEL, "42")
    assert not await ledger.answer(ADAM, [first], VISITOR, [Outgoing("SECRET")], [1], 40)
    assert await ledger.history(ADAM, VISITOR, 9) == []


async def test_an_owners_conversation_is_not_a_visitors(ledger: Ledger) -> None:
    """A paired channel's words cannot be erased in this way, not even with the channel."""
    await pair(ledger)
    await ledger.take(ADAM, CHANNEL, CONVERSATION, [inbound(1, "mine")], 9)
    await say(ledger, 5, "hers")
    assert await ledger.erase_conversation(CHANNEL, "42") is None
    await ledger.remove_channel(ADAM, CHANNEL)
    assert {line.content for line in await ledger.conversation(ADAM)} == {"mine", "hers"}


async def test_a_sender_in_many_places(ledger: Ledger) -> None:
    """Every conversation in which an account wrote is found: on each channel, and in threads that others began."""
    await open_(ledger)
    await open_(ledger, channel=OTHER)
    thread = inbound(3, "in a thread", "44")
    thread.chat = "C1:77"
    joined = inbound(4, "I join", "42")
    joined.chat = "C1:77"
    await visit(ledger, inbound(1, "here", "42"), inbound(2, "bob", "43"), thread, joined)
    await visit(ledger, inbound(5, "there", "42"), channel=OTHER, at=31)
    places = sorted(await ledger.conversations_of("42"))
    assert places == [(CHANNEL, "42"), (CHANNEL, "C1:77"), (OTHER, "42")]
    accounts = {one.chat: sorted(one.accounts) for one in await ledger.channel_conversations(CHANNEL)}
    assert accounts == {"42": ["42"], "43": ["43"], "C1:77": ["42", "44"]}
    for place in places:
        assert await ledger.erase_conversation(*place)
    assert await ledger.conversations_of("42") == []
    assert [one.chat for one in await ledger.channel_conversations(CHANNEL)] == ["43"]


async def test_a_channel_with_everything(ledger: Ledger, path: Path) -> None:
    """An open channel's words go with it, waiting, answered and undelivered ones, with their files."""
    await open_(ledger)
    first, _ = await visit(ledger, photo(1), photo(2, "43"))
    await answered(ledger, first, VISITOR, 1)
    await ledger.remove_channel(ADAM, CHANNEL)
    assert traces(path, "SECRET") == []
    files = {media for _, media in await ledger.unneeded_files()}
    assert files == {"1.jpg", "2.jpg", "made1.png"}
    await open_(ledger)
    await visit(ledger, inbound(1, "hello"), at=60)
    assert [line.content for line in await ledger.channel_messages(CHANNEL, "42")] == ["Welcome!", "hello"]


async def test_words_whose_time_is_over(ledger: Ledger) -> None:
    """Silent conversations are found whole; of the others the lines before that time are erased, never the owner's."""
    await open_(ledger)
    await pair(ledger, OTHER, "901")
    own = Conversation("telegram", "a", OTHER, "42")
    await ledger.take(ADAM, OTHER, own, [inbound(1, "mine", at=1)], 9)
    await say(ledger, 900, "hers", own, at=1)
    await visit(ledger, inbound(1, "silent", "43", at=5), at=10)
    for key, at in ((2, 6), (3, 50)):
        (perception,) = await visit(ledger, inbound(key, f"said at {at}", at=at), at=at + 1)
        assert await ledger.answer(ADAM, [perception], VISITOR, [Outgoing(f"answer at {at}")], [key], at + 1)
    assert await ledger.idle_conversations(20) == [(CHANNEL, "43")]
    await ledger.erase_conversation(CHANNEL, "43")
    erased = 0
    while found := await ledger.erase_old_lines(ADAM, 20):
        erased += found
    assert erased == 3
    assert [line.content for line in await ledger.history(ADAM, VISITOR, 9)] == ["said at 50", "answer at 50"]
    assert {line.content for line in await ledger.conversation(ADAM)} == {"mine", "hers"}
    assert await waiting(ledger) == ["mine"]
