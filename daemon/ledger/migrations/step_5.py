"""Step 5: open channels: the fields and counters that /v1 shows, conversations, senders and webhook requests.

Triggers keep the counters, so every statement that adds a message also counts it. They also mark each line of an open
channel permanently, because lines outlive their channel. A ``talk`` is a channel's id of 16 characters, a colon, and a
chat.
"""

from __future__ import annotations

from typing import Final

SQL: Final = """
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
    """
