"""Files: new, older, newer, foreign, and who may read them."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from daemon.ledger import Ledger, LedgerError
from daemon.ledger.schema import MIGRATIONS, migrate
from proto.messages import Conversation

WEB = Conversation("web", "web")


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


async def test_only_the_owner_can_read_it(ledger: Ledger, path: Path) -> None:
    """The folder is 0700, and the database, its log and its index are 0600."""
    await ledger.accept("p", WEB, "text", "hello", None, 1, None)
    assert mode(path.parent) == 0o700
    assert {file.name: mode(file) for file in path.parent.iterdir()} == {
        "ledger.db": 0o600,
        "ledger.db-wal": 0o600,
        "ledger.db-shm": 0o600,
    }


async def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    """A ledger left with wider permissions gets its own back when it is opened."""
    path = tmp_path / "ledger.db"
    path.touch(mode=0o644)
    path.chmod(0o644)
    await (await Ledger.open(path)).close()
    assert mode(path) == 0o600


def test_an_older_file_gets_the_steps_that_it_lacks(tmp_path: Path) -> None:
    """Steps run once each, in order, and keep the rows of before."""
    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    first, second = "CREATE TABLE t (a)", "ALTER TABLE t ADD COLUMN b DEFAULT 5; CREATE INDEX i ON t (b)"
    migrate(connection, [first])
    connection.execute("INSERT INTO t VALUES (1)")
    migrate(connection, [first, second])
    migrate(connection, [first, second])
    assert connection.execute("SELECT a, b FROM t").fetchall() == [(1, 5)]
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()


def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """Half a migration is none: neither its tables nor its version stay."""
    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, ["CREATE TABLE t (a); CREATE TABLE t (b)"])
    assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    connection.close()


VERSION_1_ROWS = """
    INSERT INTO inbox (persona, type, name, talk, kind, content, at, key, state)
        VALUES ('p', 'web', 'web', '', 'text', 'waits', 1, 'k1', 'pending'),
               ('p', 'web', 'web', '', 'text', '', 2, 'k2', 'done');
    INSERT INTO conversation (persona, type, name, talk, role, content, at)
        VALUES ('p', 'web', 'web', '', 'person', 'said', 2);
    INSERT INTO consolidation (persona, up_to) VALUES ('p', 0);
    INSERT INTO outage (persona, type, name, talk, since) VALUES ('p', 'web', 'web', '', 3);
    INSERT INTO outbox (seq, persona, type, name, talk, kind, content, state, attempts, created_at)
        VALUES (70, 'p', 'web', 'web', '', 'text', 'on the web', 'sent', 0, 4),
               (71, 'p', 'telegram', 'alice', '00000000000000aa:42', 'text', 'on its way', 'sending', 2, 5);
"""


def version_1(path: Path) -> None:
    """Make a file as the first personad left it, with rows in every table."""
    path.parent.mkdir(parents=True)
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, MIGRATIONS[:1])
    connection.executescript(VERSION_1_ROWS)
    connection.close()


async def test_a_file_of_version_1_keeps_everything(path: Path) -> None:
    """Waiting words, keys, lines, frames, outages and open messages of version 1 are there, and channels work."""
    version_1(path)
    ledger = await Ledger.open(path)
    assert [row.perception.content for row in await ledger.waiting("p")] == ["waits"]
    assert await ledger.accept("p", WEB, "text", "again", None, 9, "k2") is None
    assert [line.content for line in await ledger.conversation("p")] == ["waits", "said"]
    assert [line.content for line in (await ledger.unconsolidated("p", 10))[1]] == ["said"]
    assert [frame.content for frame in await ledger.frames("p", 0, 10)] == ["on the web"]
    assert not await ledger.tell("p", WEB, "no mind", 80, 9)
    assert await ledger.last_seq() == 71
    [row] = await ledger.outgoing("p")
    assert (row.seq, row.content, row.parts_sent, row.attempts, row.ambiguous) == (71, "on its way", 0, 2, True)
    await ledger.add_channel("p", "00000000000000aa", "telegram", "900", "bot", 10)
    await ledger.sent(71, 11)
    assert [channel.sent for channel in await ledger.channels("p")] == [1]
    await ledger.close()


VERSION_2_ROWS = """
    INSERT INTO channel (persona, channel, type, bot_id, bot_name, account, account_name, chat, created_at)
        VALUES ('p', '00000000000000aa', 'telegram', '900', 'bot', '42', '@alice', '42', 3),
               ('p', '00000000000000bb', 'discord', '901', 'bot', NULL, NULL, NULL, 4);
    INSERT INTO conversation (persona, type, name, talk, role, content, at)
        VALUES ('p', 'telegram', '@alice', '00000000000000aa:42', 'person', 'hello', 5),
               ('p', 'telegram', '@alice', '00000000000000aa:42', 'assistant', 'hi', 6);
"""


async def test_channels_of_version_2_have_their_figures(path: Path) -> None:
    """Channels from before /v1 are shown there with the talk that they had, and go on counting."""
    version_1(path)
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, MIGRATIONS[:2])
    connection.executescript(VERSION_2_ROWS)
    connection.close()
    ledger = await Ledger.open(path)
    paired, unpaired = await ledger.channels_of("p", 9)
    assert (paired.open, paired.fields.name, paired.updated_at) == (False, "@alice", 3)
    assert (paired.conversation_count, paired.message_count, paired.last_message_at) == (1, 2, 6)
    assert (unpaired.conversation_count, unpaired.message_count, unpaired.last_message_at) == (0, 0, None)
    await ledger.say("p", Conversation("telegram", "@alice", "00000000000000aa:42"), "more", 90, 7)
    (talk,) = await ledger.channel_conversations("00000000000000aa")
    assert (talk.chat, talk.name, talk.messages, talk.first_at, talk.last_at) == ("42", "@alice", 3, 3, 7)
    assert len((await ledger.unconsolidated("p", 10))[1]) == 3
    await ledger.close()


async def test_a_newer_file_is_refused_untouched(path: Path) -> None:
    """A database of a later personad is not opened, and the error says what to do."""
    await (await Ledger.open(path)).close()
    newer = len(MIGRATIONS) + 1
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA user_version = {newer}")
    connection.close()
    with pytest.raises(LedgerError, match=f"version {newer}.*run the newer personad"):
        await Ledger.open(path)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (newer,)
    connection.close()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Some other file under the ledger's name is named as such and left alone."""
    path = tmp_path / "ledger.db"
    path.write_bytes(b"a shopping list\n" * 100)
    with pytest.raises(LedgerError, match="is not a ledger: move it away"):
        await Ledger.open(path)
    assert path.read_bytes() == b"a shopping list\n" * 100


async def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    """A state folder under a file is refused with its path."""
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match=r"file/ledger\.db cannot be opened"):
        await Ledger.open(tmp_path / "file" / "ledger.db")
