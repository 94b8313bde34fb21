"""A ledger of each earlier version becomes today's with every row, and all operations continue from it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from daemon.ledger import Committed, Ledger, Mirrored, SenderLimits
from daemon.ledger.migrations import MIGRATIONS
from daemon.ledger.schema import open_writer
from daemon.ledger.webhooks import DEADLY
from proto.gateways import Inbound
from proto.messages import Conversation, Outgoing
from tests.daemon.ledger.older_ledgers import (
    ADA,
    BOB,
    DISCORD,
    NOW,
    OPEN,
    REMOVED,
    SLACK,
    SMS,
    TELEGRAM,
    VERSIONS,
    WHATSAPP,
    Row,
    connected,
    content,
    rebuild,
    schema,
    version,
)

WITH_GATEWAYS: Final = VERSIONS[1:]
WITH_VISITORS: Final = VERSIONS[4:]
WITH_RENAMES: Final = VERSIONS[7:]

RENAMED: Final = {"talk": "channel_conversation", "hook": "webhook"}
NEW_COLUMNS: Final = {
    "title": "",
    "perceived": "",
    "open": 0,
    "parts_sent": 0,
    "sent_at": None,
    "provider_id": None,
    "reason": "",
    "unread": None,
    "unread_by": "",
    "hushed": 0,
}
"""The values of new columns in earlier rows; a channel's newer columns are only counted, see below."""

WEB: Final = Conversation("web", ADA)
OWNER: Final = Conversation("telegram", "@ada_owner", TELEGRAM, "4200042")
CARL: Final = Conversation("telegram", "@carl", OPEN, "31")
FAY: Final = Conversation("slack", "Fay", SLACK, "C0123ABCD:1700000000.000100")

ADDRESSES: Final = {
    "Good morning!": ("", ""),
    "waits on the web": ("", ""),
    "on its way": (TELEGRAM, "4200042"),
    "hello, is it you?": (TELEGRAM, "4200042"),
    "waits too": (TELEGRAM, "4200042"),
    "perhaps sent": (TELEGRAM, "4200042"),
    "hi from discord": (DISCORD, "998877665544332211"),
    "later": (DISCORD, "998877665544332211"),
    "I was never delivered": (REMOVED, "77"),
    "welcome": ("ffff0000ffff0000", "31"),
    "by hand": ("alice", ""),
    "a visitor's": ("eeee0000eeee0000", "C77:1690000000.000200"),
    "At nine.": (OPEN, "31"),
    "hi: there": (OPEN, "32"),
    "Hello by text.": (SMS, "+4917600000001"),
    "In the thread.": (SLACK, "C0123ABCD:1700000000.000100"),
    "a direct message": (SLACK, "D0999"),
}
"""Where some of the dumps' messages were written, copied by hand from the dumps."""

OUTGOING: Final = [
    ("pending: never tried", 0, 0, False),
    ("in hand: two of three parts are there", 2, 0, True),
    ("will be tried again", 0, 1, False),
    ("perhaps sent", 0, 1, True),
    ("later", 0, 0, False),
    ("My mind is down.", 0, 0, False),
]
"""The open messages of the outbox: text, parts sent, attempts, whether it may have been sent."""


def migrated(number: int, path: Path) -> None:
    """Make the file of a version and open it with today's code."""
    rebuild(number, path)
    open_writer(path).close()


def as_today(row: Row) -> Row:
    """Return a row of an earlier version with today's columns. A request that killed is open again, with the reason."""
    if row.get("done") == 1 and row.get("body"):
        return {**row, "done": 0, "unread": DEADLY}
    if "talk" not in row:
        return row
    channel, _, chat = row["talk"].partition(":")
    return {name: value for name, value in row.items() if name != "talk"} | {"channel": channel, "chat": chat}


@pytest.mark.parametrize("number", VERSIONS)
def test_every_row_is_kept(number: int, path: Path) -> None:
    """No row is lost, added or changed, except for the two new columns, and no id will be given again."""
    rebuild(number, path)
    before = content(path)
    open_writer(path).close()
    after = content(path)
    counters = {RENAMED.get(row["name"], row["name"]): row["seq"] for row in before.pop("sqlite_sequence")}
    assert {row["name"]: row["seq"] for row in after.pop("sqlite_sequence")} == counters
    for table, rows in before.items():
        expected = [as_today(row) for row in rows]
        found = after.pop(RENAMED.get(table, table))
        assert [{name: row[name] for name in known} for row, known in zip(found, expected, strict=True)] == expected
        if table != "channel":
            newer = [
                (name, row[name]) for row, known in zip(found, expected, strict=True) for name in row.keys() - known
            ]
            assert newer == [(name, NEW_COLUMNS[name]) for name, _ in newer]
    for derived in ("channel_conversation", "former_channel", "memory_change", "participant", "visitor"):
        after.pop(derived, None)
    assert not any(after.values()), "tables that are new begin empty, but for what follows from the older ones"


@pytest.mark.parametrize("number", VERSIONS)
def test_the_tables_are_those_of_a_new_file(number: int, path: Path, tmp_path: Path) -> None:
    """An old file and a new one have the same tables, indexes and triggers, and SQLite finds no fault in it."""
    migrated(number, path)
    open_writer(tmp_path / "new.db").close()
    assert version(path) == len(MIGRATIONS)
    assert schema(path) == schema(tmp_path / "new.db")
    with connected(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("number", VERSIONS)
def test_every_message_stands_where_it_was_written(number: int, path: Path) -> None:
    """Channel and chat are right in the inbox, the conversation and the outbox, even if a chat contains a colon."""
    migrated(number, path)
    tables = content(path)
    found = {
        row["content"]: (row["channel"], row["chat"])
        for table in ("inbox", "conversation", "outbox")
        for row in tables[table]
    }
    known = {words: address for words, address in ADDRESSES.items() if words in found}
    assert {words: found[words] for words in known} == known
    assert len(known) >= {1: 3, 2: 8, 3: 8, 4: 11}.get(number, 16)


@pytest.mark.parametrize("number", VERSIONS)
async def test_what_waits_is_answered(number: int, path: Path) -> None:
    """Waiting messages are answered once, in their conversation; earlier keys, notices and ids are known."""
    rebuild(number, path)
    ledger = await Ledger.open(path)
    seq = await ledger.last_seq()
    waiting = {one.perception.content: one for one in await ledger.waiting(ADA)}
    assert "kills the worker" not in waiting
    for words, where in (("waits on the web", WEB), ("waits too", OWNER))[: 1 if number == 1 else 2]:
        one = waiting[words]
        assert one.conversation == where
        answer = (ADA, [one.perception.id], where, [Outgoing(f"re: {words}")], [seq := seq + 1], NOW)
        assert await ledger.answer(*answer)
        assert not await ledger.answer(*answer)
        said = await ledger.history(ADA, where, 50)
        assert [line.content for line in said][-2:] == [words, f"re: {words}"]
        assert len(said) > 2, "what was said before the migration is part of it"
    assert await ledger.accept(ADA, WEB, "text", "again", None, NOW, "web-1") is None
    assert not await ledger.tell(BOB, Conversation("web", BOB), "no mind", seq + 1, NOW)
    with connected(path) as connection:
        last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'inbox'").fetchone()[0]
    assert await ledger.accept(ADA, WEB, "text", "new", None, NOW, None) == last + 1
    [bob] = [one for one in await ledger.waiting(BOB) if one.conversation.type == "web"]
    assert (bob.perception.content, bob.deaths) == ("was in hand once", 1)
    up_to, lines = await ledger.unconsolidated(ADA, 2)
    assert (up_to, [line.content for line in lines]) == (5, ["Both: noted\n\n- red\n- blue", "look"])
    await ledger.close()


@pytest.mark.parametrize("number", WITH_GATEWAYS)
async def test_delivery_goes_on(number: int, path: Path) -> None:
    """Open messages are delivered from where they were, and counted on their channel."""
    rebuild(number, path)
    ledger = await Ledger.open(path)
    rows = [row for row in await ledger.outgoing(ADA) if row.channel in (TELEGRAM, DISCORD)]
    assert [(row.content, row.parts_sent, row.attempts, row.ambiguous) for row in rows] == OUTGOING
    assert {row.channel: row.chat for row in rows} == {TELEGRAM: "4200042", DISCORD: "998877665544332211"}
    open_ = await ledger.pending_by_channel(ADA)
    assert (open_[TELEGRAM], open_[DISCORD]) == (4, 2)
    before = {channel.channel: channel for channel in await ledger.channels(ADA)}
    assert await ledger.sending(rows[0].seq) == "open"
    await ledger.sent(rows[0].seq, NOW)
    await ledger.dead(rows[1].seq, "gone")
    assert await ledger.blocked(ADA, DISCORD, "998877665544332211", "blocked", NOW) == [row.seq for row in rows[4:]]
    after = {channel.channel: channel for channel in await ledger.channels(ADA)}
    assert (after[TELEGRAM].sent, after[TELEGRAM].dead) == (before[TELEGRAM].sent + 1, before[TELEGRAM].dead + 1)
    assert after[DISCORD].dead == before[DISCORD].dead + 2
    assert not [row for row in await ledger.outgoing(ADA) if row.channel == DISCORD]
    await ledger.close()


@pytest.mark.parametrize("number", WITH_GATEWAYS)
async def test_paired_channels_go_on(number: int, path: Path) -> None:
    """Their counters stay, an earlier key is known, new messages count, and codes and held messages still work."""
    rebuild(number, path)
    ledger = await Ledger.open(path)
    before = await ledger.open_channel(TELEGRAM, NOW)
    assert before is not None
    assert (before.open, before.conversation_count, before.message_count) == (
        False,
        1,
        {2: 9, 3: 9, 4: 9}.get(number, 12),
    )
    message = Inbound("806", "4200042", "@ada_owner", "4200042", private=True, kind="text", content="new", at=NOW)
    known = Inbound("804", "4200042", "@ada_owner", "4200042", private=True, kind="text", content="old", at=NOW)
    taken = await ledger.take(ADA, TELEGRAM, OWNER, [message, known], NOW)
    assert [one.perception.content for one in taken.waiting] == ["new"]
    assert await ledger.take(ADA, TELEGRAM, OWNER, [message, known], NOW) == Committed([], [])
    after = await ledger.open_channel(TELEGRAM, NOW)
    assert after is not None
    assert (after.conversation_count, after.message_count) == (1, before.message_count + 1)
    assert after.last_message_at == NOW
    [unpaired] = [channel for channel in await ledger.channels(BOB) if channel.type == "telegram" and not channel.sent]
    pending = await ledger.find_code(BOB, "01" * 32, 0)
    assert pending is not None
    await ledger.bind(BOB, unpaired.channel, pending.account, pending.account_name, pending.chat)
    where = Conversation("telegram", pending.account_name, unpaired.channel, pending.chat)
    [held] = await ledger.release(BOB, unpaired.channel, where)
    assert (held.perception.content, held.conversation) == ("held 1: hi", where)
    await ledger.remove_channel(ADA, TELEGRAM)
    assert [one.conversation.type for one in await ledger.waiting(ADA) if one.conversation.channel == TELEGRAM] == []
    await ledger.close()


@pytest.mark.parametrize("number", WITH_VISITORS)
async def test_visitors_go_on(number: int, path: Path) -> None:
    """A visitor continues the earlier conversation: known keys are skipped, new messages count, no second welcome."""
    rebuild(number, path)
    ledger = await Ledger.open(path)
    conversations = {one.chat: one for one in await ledger.channel_conversations(OPEN)}
    shown = await ledger.open_channel(OPEN, NOW)
    assert shown is not None
    items = [
        Inbound(key, "31", "@carl", "31", private=True, kind="text", content=f"word {key}", at=NOW)
        for key in ("2", "99")
    ]
    visited = await ledger.visit(BOB, OPEN, items, [], SenderLimits(9, 99), [901, 902, 903, 904], NOW)
    assert [(one.perception.content, one.conversation) for one in visited.waiting] == [("word 99", CARL)]
    assert visited.said == []
    [latest, *_] = await ledger.channel_conversations(OPEN)
    assert (latest.chat, latest.messages) == ("31", conversations["31"].messages + 1)
    counted = await ledger.open_channel(OPEN, NOW)
    assert counted is not None
    assert (counted.message_count, counted.conversation_count) == (shown.message_count + 1, shown.conversation_count)
    [perception] = [one.perception.id for one in visited.waiting]
    assert await ledger.answer(BOB, [perception], CARL, [Outgoing("re: word 99")], [905], NOW + 1)
    [latest, *_] = await ledger.channel_conversations(OPEN)
    assert (latest.messages, latest.last_at) == (conversations["31"].messages + 2, NOW + 1)
    messages = await ledger.channel_messages(OPEN, "31")
    assert [message.content for message in messages if message.id][:2] == ["re: word 99", "word 99"]
    assert {"when do you open?", "At nine."} <= {message.content for message in messages}
    thread = await ledger.channel_messages(SLACK, FAY.chat)
    assert [message.content for message in thread] == ["In the thread.", "a thread"]
    assert [one.number for one in await ledger.open_webhooks(BOB)] == [2]
    assert [(one.number, one.deaths) for one in await ledger.open_webhooks(ADA)] == [(4, 1)]
    assert await ledger.webhook(SMS, "SM001", "text/plain", b"", NOW) is None
    await ledger.close()


@pytest.mark.parametrize("number", WITH_RENAMES)
async def test_a_rename_goes_on(number: int, path: Path) -> None:
    """A name that did not reach config.json before the update is not taken back from there, but still to be written."""
    rebuild(number, path)
    ledger = await Ledger.open(path)
    shown = {one.channel: one.fields.name for one in await ledger.channels_of(ADA, NOW) if one.open}
    listed = [
        Mirrored(SLACK, "slack", "Slack", verified=True, addable=True),
        Mirrored(WHATSAPP, "whatsapp", "WhatsApp", verified=True, addable=True),
    ]
    read = await ledger.read_back(ADA, listed, NOW)
    assert (read.behind, read.changed) == ({SLACK: "Front of house"}, [WHATSAPP])
    assert shown == {SLACK: "Front of house", WHATSAPP: "Reception"}
    await ledger.close()


KILLED: Final = """
import os, signal, sqlite3, sys
from daemon.ledger.migrations import MIGRATIONS
from daemon.ledger.schema import migrate

for path, step in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    if not (child := os.fork()):
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA cache_size = 2")
        connection.create_function("killed", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
        migrate(connection, [*MIGRATIONS[:6], step])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
"""


def statements(script: str) -> list[str]:
    """Split a step into statements; a trigger's body stays in one piece."""
    found, text = [], ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            found.append(text)
            text = ""
    return found


def test_a_migration_killed_at_any_statement_begins_again(tmp_path: Path) -> None:
    """A SIGKILL leaves the old file whole, and the next start migrates it as if nothing had happened."""
    parts = statements(MIGRATIONS[6])
    assert len(parts) > 30
    steps = ["".join([*parts[:number], "SELECT killed();", *parts[number:]]) for number in range(len(parts) + 1)]
    paths = [tmp_path / f"{number}.db" for number in range(len(steps))]
    for path in paths:
        rebuild(6, path)
    before = content(paths[0])
    arguments = [text for pair in zip(map(str, paths), steps, strict=True) for text in pair]
    subprocess.run([sys.executable, "-c", KILLED, *arguments], check=True, cwd=Path(__file__).parents[3])
    migrated(6, tmp_path / "whole.db")
    whole = content(tmp_path / "whole.db")
    for path in paths:
        assert version(path) == 6
        assert content(path) == before
        open_writer(path).close()
        assert content(path) == whole
