"""The ledger's tables, and how a file of an older version gets them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from daemon.ledger.errors import LedgerError, explain

BUSY_TIMEOUT: Final = 5.0
"""Seconds to wait for another program that holds the database, such as an sqlite3 shell."""

CHECKPOINT: Final = 2000
"""Pages in the write-ahead log that start a checkpoint: 8 MB, so that few commits pay for one."""

CACHE: Final = 256
"""KiB of pages that a connection keeps: the hot pages are few, and the system caches the file anyway."""

MIGRATIONS: Final = (
    # 1: the main road. AUTOINCREMENT, because an id that was used for something forgotten is never given again;
    # for the outbox it also remembers the largest seq. Conversations are (type, name, talk) throughout. The inbox's
    # CHECK is spelled out because IN builds a temporary table for each statement: a third of an insert's time.
    """
    CREATE TABLE inbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        persona TEXT NOT NULL,
        type TEXT NOT NULL,
        name TEXT NOT NULL,
        talk TEXT NOT NULL,
        key TEXT,
        kind TEXT NOT NULL,
        content TEXT NOT NULL,
        media TEXT,
        at INTEGER NOT NULL,
        state TEXT NOT NULL DEFAULT 'pending' CHECK (state = 'pending' OR state = 'done' OR state = 'poison'),
        deaths INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE UNIQUE INDEX inbox_key ON inbox (persona, type, name, talk, key) WHERE key IS NOT NULL;
    CREATE INDEX inbox_open ON inbox (persona, state) WHERE state <> 'done';

    CREATE TABLE conversation (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        persona TEXT NOT NULL,
        type TEXT NOT NULL,
        name TEXT NOT NULL,
        talk TEXT NOT NULL,
        role TEXT NOT NULL CHECK (role IN ('person', 'assistant')),
        content TEXT NOT NULL,
        media TEXT,
        at INTEGER NOT NULL,
        notice INTEGER NOT NULL DEFAULT 0 CHECK (notice IN (0, 1))
    ) STRICT;
    CREATE INDEX conversation_order ON conversation (persona);
    CREATE INDEX conversation_talk ON conversation (persona, type, name, talk) WHERE notice = 0;
    CREATE INDEX conversation_time ON conversation (persona, at);

    CREATE TABLE consolidation (
        persona TEXT PRIMARY KEY,
        up_to INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE outage (
        persona TEXT NOT NULL,
        type TEXT NOT NULL,
        name TEXT NOT NULL,
        talk TEXT NOT NULL,
        since INTEGER NOT NULL,
        PRIMARY KEY (persona, type, name, talk)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE outbox (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE DEFAULT (lower(hex(randomblob(16)))),
        persona TEXT NOT NULL,
        type TEXT NOT NULL,
        name TEXT NOT NULL,
        talk TEXT NOT NULL,
        kind TEXT NOT NULL,
        content TEXT NOT NULL,
        media TEXT,
        state TEXT NOT NULL CHECK (state IN ('pending', 'sending', 'sent', 'ambiguous', 'dead')),
        attempts INTEGER NOT NULL DEFAULT 0,
        not_before INTEGER NOT NULL DEFAULT 0,
        last_error TEXT,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX outbox_channel ON outbox (persona, type);
    CREATE INDEX outbox_open ON outbox (persona, state) WHERE state <> 'sent';
    """,
    # 2: gateways. A channel's counters are kept, not counted, because its row is read for each batch that comes in.
    """
    CREATE TABLE channel (
        persona TEXT NOT NULL,
        channel TEXT NOT NULL UNIQUE,
        type TEXT NOT NULL,
        bot_id TEXT NOT NULL,
        bot_name TEXT NOT NULL,
        account TEXT,
        account_name TEXT,
        chat TEXT,
        last_key TEXT,
        received INTEGER NOT NULL DEFAULT 0,
        strangers INTEGER NOT NULL DEFAULT 0,
        sent INTEGER NOT NULL DEFAULT 0,
        dead INTEGER NOT NULL DEFAULT 0,
        last_error TEXT,
        last_error_at INTEGER,
        created_at INTEGER NOT NULL,
        PRIMARY KEY (persona, channel),
        UNIQUE (type, bot_id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE pairing_code (
        hash TEXT NOT NULL UNIQUE,
        persona TEXT NOT NULL,
        channel TEXT NOT NULL,
        account TEXT NOT NULL,
        account_name TEXT NOT NULL,
        chat TEXT NOT NULL,
        expires_at INTEGER NOT NULL,
        PRIMARY KEY (persona, channel, account)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE held (
        id INTEGER PRIMARY KEY,
        persona TEXT NOT NULL,
        channel TEXT NOT NULL,
        account TEXT NOT NULL,
        chat TEXT NOT NULL,
        kind TEXT NOT NULL,
        content TEXT NOT NULL,
        media TEXT,
        at INTEGER NOT NULL,
        key TEXT NOT NULL,
        UNIQUE (channel, key)
    ) STRICT;

    ALTER TABLE outbox ADD COLUMN parts_sent INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE outbox ADD COLUMN sent_at INTEGER;
    """,
    # 3: what a file is called by the person who sent it, and what her organ made of it.
    """
    ALTER TABLE inbox ADD COLUMN title TEXT NOT NULL DEFAULT '';
    ALTER TABLE held ADD COLUMN title TEXT NOT NULL DEFAULT '';
    ALTER TABLE conversation ADD COLUMN title TEXT NOT NULL DEFAULT '';
    ALTER TABLE conversation ADD COLUMN perceived TEXT NOT NULL DEFAULT '';
    """,
    # 4: what was fed. The files stand in a row only until they are written.
    """
    CREATE TABLE feed (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        persona TEXT NOT NULL,
        key TEXT NOT NULL,
        source TEXT NOT NULL,
        at INTEGER NOT NULL,
        state TEXT NOT NULL DEFAULT 'digested' CHECK (state = 'digested' OR state = 'applied'),
        before TEXT NOT NULL,
        after TEXT NOT NULL,
        UNIQUE (persona, key)
    ) STRICT;
    CREATE INDEX feed_open ON feed (id) WHERE state = 'digested';
    """,
    # 5: open channels: what /v1 shows of every channel, who talks on them, and what their providers push. Triggers keep
    # the counters, so that whoever commits words or lines of a talk counts them too. They also mark each line of an
    # open channel, for good: channels go and lines stay. A talk is a channel's id of 16 characters, a colon, a chat.
    """
    ALTER TABLE channel ADD COLUMN open INTEGER NOT NULL DEFAULT 0 CHECK (open = 0 OR open = 1);
    ALTER TABLE channel ADD COLUMN name TEXT;
    ALTER TABLE channel ADD COLUMN phone TEXT;
    ALTER TABLE channel ADD COLUMN provider_account TEXT NOT NULL DEFAULT '';
    ALTER TABLE channel ADD COLUMN model TEXT;
    ALTER TABLE channel ADD COLUMN datasets TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE channel ADD COLUMN welcome TEXT;
    ALTER TABLE channel ADD COLUMN fallback TEXT;
    ALTER TABLE channel ADD COLUMN paused INTEGER NOT NULL DEFAULT 0 CHECK (paused = 0 OR paused = 1);
    ALTER TABLE channel ADD COLUMN error_class TEXT;
    ALTER TABLE channel ADD COLUMN error_since INTEGER;
    ALTER TABLE channel ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE channel ADD COLUMN conversations INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE channel ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE channel ADD COLUMN last_message_at INTEGER;
    ALTER TABLE channel ADD COLUMN limited INTEGER NOT NULL DEFAULT 0;

    ALTER TABLE conversation ADD COLUMN open INTEGER NOT NULL DEFAULT 0 CHECK (open = 0 OR open = 1);
    DROP INDEX conversation_order;
    DROP INDEX conversation_time;
    CREATE INDEX conversation_order ON conversation (persona, open);
    CREATE INDEX conversation_time ON conversation (persona, open, at);
    CREATE INDEX conversation_chat ON conversation (talk) WHERE talk <> '';

    CREATE TABLE talk (
        channel TEXT NOT NULL,
        chat TEXT NOT NULL,
        persona TEXT NOT NULL,
        name TEXT NOT NULL,
        messages INTEGER NOT NULL DEFAULT 0,
        error TEXT,
        error_at INTEGER,
        first_at INTEGER NOT NULL,
        last_at INTEGER NOT NULL,
        PRIMARY KEY (channel, chat)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX talk_recent ON talk (channel, last_at);

    CREATE TABLE sender (
        channel TEXT NOT NULL,
        account TEXT NOT NULL,
        persona TEXT NOT NULL,
        minute INTEGER NOT NULL,
        in_minute INTEGER NOT NULL,
        day INTEGER NOT NULL,
        in_day INTEGER NOT NULL,
        told_until INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (channel, account)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE hook (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        persona TEXT NOT NULL,
        channel TEXT NOT NULL,
        key TEXT NOT NULL,
        content_type TEXT NOT NULL,
        body BLOB NOT NULL,
        at INTEGER NOT NULL,
        done INTEGER NOT NULL DEFAULT 0 CHECK (done = 0 OR done = 1),
        deaths INTEGER NOT NULL DEFAULT 0,
        UNIQUE (channel, key)
    ) STRICT;
    CREATE INDEX hook_open ON hook (persona) WHERE done = 0;

    CREATE TABLE idempotency (
        key TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        status INTEGER,
        body BLOB,
        at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    ALTER TABLE outbox ADD COLUMN provider_id TEXT;
    CREATE INDEX outbox_provider ON outbox (provider_id) WHERE provider_id IS NOT NULL;

    UPDATE channel SET
        updated_at = created_at,
        conversations = iif(chat IS NULL, 0, 1),
        messages = (SELECT count(*) FROM conversation WHERE talk <> '' AND talk = channel.channel || ':' || chat),
        last_message_at =
            (SELECT max(at) FROM conversation WHERE talk <> '' AND talk = channel.channel || ':' || chat);
    INSERT INTO talk (channel, chat, persona, name, messages, first_at, last_at)
        SELECT channel, chat, persona, coalesce(account_name, bot_name), messages, created_at,
            coalesce(last_message_at, created_at) FROM channel WHERE chat IS NOT NULL;

    CREATE TRIGGER talk_counted AFTER INSERT ON talk BEGIN
        UPDATE channel SET conversations = conversations + 1 WHERE channel = NEW.channel;
    END;
    CREATE TRIGGER inbox_counted AFTER INSERT ON inbox WHEN NEW.talk <> '' BEGIN
        INSERT INTO talk (channel, chat, persona, name, messages, first_at, last_at)
            SELECT channel, substr(NEW.talk, 18), NEW.persona, NEW.name, 1, NEW.at, NEW.at
                FROM channel WHERE channel = substr(NEW.talk, 1, 16)
            ON CONFLICT (channel, chat) DO UPDATE SET
                messages = talk.messages + 1, last_at = max(talk.last_at, NEW.at), error = NULL, error_at = NULL;
        UPDATE channel SET messages = messages + 1, last_message_at = max(coalesce(last_message_at, 0), NEW.at)
            WHERE channel = substr(NEW.talk, 1, 16);
    END;
    CREATE TRIGGER conversation_marked AFTER INSERT ON conversation WHEN NEW.talk <> '' BEGIN
        UPDATE conversation SET open = 1 WHERE id = NEW.id
            AND EXISTS (SELECT 1 FROM channel
                WHERE channel = substr(NEW.talk, 1, 16) AND persona = NEW.persona AND open = 1);
    END;
    CREATE TRIGGER conversation_counted AFTER INSERT ON conversation
        WHEN NEW.talk <> '' AND NEW.role = 'assistant' BEGIN
        UPDATE talk SET messages = messages + 1, last_at = max(last_at, NEW.at)
            WHERE channel = substr(NEW.talk, 1, 16) AND chat = substr(NEW.talk, 18) AND persona = NEW.persona;
        UPDATE channel SET messages = messages + 1, last_message_at = max(coalesce(last_message_at, 0), NEW.at)
            WHERE channel = substr(NEW.talk, 1, 16) AND persona = NEW.persona;
    END;
    """,
    # 6: what her files are called is looked up with every search of her documents.
    "CREATE INDEX conversation_titled ON conversation (persona) WHERE title <> ''",
    # 7: the name that config.json has still, from a change of a channel's name until it is written there, too.
    "ALTER TABLE channel ADD COLUMN mirror_name TEXT",
)


def open_writer(path: Path) -> sqlite3.Connection:
    """Make or migrate the file, private to its owner, and return the writing connection.

    Raise LedgerError for a file that cannot be opened, is no ledger or is newer than this code, LedgerFull for a disk
    that does not take it.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives -wal and -shm the mode of the database, which so must be private before it is first opened.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        for suffix in ("", "-wal", "-shm"):
            if (file := Path(f"{path}{suffix}")).exists():
                file.chmod(0o600)
    except OSError as error:
        raise LedgerError(f"the ledger {path} cannot be opened: {error.strerror}; check its folder's owner") from error
    connection = _connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{CACHE}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
        # A burst or a long reader may grow the log; afterwards it gives the space back.
        connection.execute(f"PRAGMA journal_size_limit = {4 * 4096 * CHECKPOINT}")
        # What was forgotten is overwritten, not only unlinked.
        connection.execute("PRAGMA secure_delete = ON")
        migrate(connection, MIGRATIONS)
    except sqlite3.Error as error:
        connection.close()
        raise explain(error, path) from error
    except LedgerError:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, to a file that ``open_writer`` made."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{CACHE}")
    return connection


def migrate(connection: sqlite3.Connection, steps: Sequence[str]) -> None:
    """Run the steps that ``PRAGMA user_version`` has not counted, each whole or not at all.

    Raise LedgerError when the file has seen more steps than there are.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(steps):
        raise LedgerError(
            f"the ledger is of version {version}, this personad knows up to {len(steps)}: "
            "run the newer personad that wrote it, or restore an older backup"
        )
    for number, step in enumerate(steps[version:], start=version + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {step}; PRAGMA user_version = {number}; COMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _connect(path: Path) -> sqlite3.Connection:
    # Opened on one thread and then used by one other; isolation_level None leaves transactions to the writer.
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
