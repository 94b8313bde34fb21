"""Step 7: channel and chat become separate columns.

Until version 6 one column, ``talk``, held both as "channel:chat". This step splits it at the first colon, since a chat
may contain more of them (Slack's threads do).

Three tables are changed in place. With 1,000,000 lines that takes as long as copying them, but needs half the space in
the log, and the file does not grow. ``outage`` is copied, because SQLite cannot drop a column of a primary key
(https://www.sqlite.org/lang_altertable.html). The triggers are dropped first and created again last, so that nothing
is counted twice. The defaults are for the web, which has neither channel nor chat.
"""

from __future__ import annotations

from typing import Final

SQL: Final = """
    DROP TRIGGER talk_counted;
    DROP TRIGGER inbox_counted;
    DROP TRIGGER conversation_marked;
    DROP TRIGGER conversation_counted;

    DROP INDEX inbox_key;
    ALTER TABLE inbox ADD COLUMN channel TEXT NOT NULL DEFAULT '';
    ALTER TABLE inbox ADD COLUMN chat TEXT NOT NULL DEFAULT '';
    UPDATE inbox SET
        channel = iif(instr(talk, ':'), substr(talk, 1, instr(talk, ':') - 1), talk),
        chat = iif(instr(talk, ':'), substr(talk, instr(talk, ':') + 1), '')
        WHERE talk <> '';
    ALTER TABLE inbox DROP COLUMN talk;
    CREATE UNIQUE INDEX inbox_key ON inbox (persona, type, name, channel, chat, key) WHERE key IS NOT NULL;

    DROP INDEX conversation_talk;
    DROP INDEX conversation_chat;
    ALTER TABLE conversation ADD COLUMN channel TEXT NOT NULL DEFAULT '';
    ALTER TABLE conversation ADD COLUMN chat TEXT NOT NULL DEFAULT '';
    UPDATE conversation SET
        channel = iif(instr(talk, ':'), substr(talk, 1, instr(talk, ':') - 1), talk),
        chat = iif(instr(talk, ':'), substr(talk, instr(talk, ':') + 1), '')
        WHERE talk <> '';
    ALTER TABLE conversation DROP COLUMN talk;
    CREATE INDEX conversation_history ON conversation (persona, type, name, channel, chat) WHERE notice = 0;
    CREATE INDEX conversation_chat ON conversation (channel, chat) WHERE channel <> '';

    ALTER TABLE outbox ADD COLUMN channel TEXT NOT NULL DEFAULT '';
    ALTER TABLE outbox ADD COLUMN chat TEXT NOT NULL DEFAULT '';
    UPDATE outbox SET
        channel = iif(instr(talk, ':'), substr(talk, 1, instr(talk, ':') - 1), talk),
        chat = iif(instr(talk, ':'), substr(talk, instr(talk, ':') + 1), '')
        WHERE talk <> '';
    ALTER TABLE outbox DROP COLUMN talk;

    ALTER TABLE outage RENAME TO old_outage;
    CREATE TABLE outage (
        persona TEXT NOT NULL,
        type TEXT NOT NULL,
        name TEXT NOT NULL,
        channel TEXT NOT NULL,
        chat TEXT NOT NULL,
        since INTEGER NOT NULL,
        PRIMARY KEY (persona, type, name, channel, chat)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO outage
        SELECT persona, type, name,
            iif(instr(talk, ':'), substr(talk, 1, instr(talk, ':') - 1), talk),
            iif(instr(talk, ':'), substr(talk, instr(talk, ':') + 1), ''),
            since
        FROM old_outage;
    DROP TABLE old_outage;

    ALTER TABLE talk RENAME TO channel_conversation;
    DROP INDEX talk_recent;
    CREATE INDEX channel_conversation_recent ON channel_conversation (channel, last_at);
    ALTER TABLE hook RENAME TO webhook;
    DROP INDEX hook_open;
    CREATE INDEX webhook_open ON webhook (persona) WHERE done = 0;

    CREATE TRIGGER channel_conversation_counted AFTER INSERT ON channel_conversation BEGIN
        UPDATE channel SET conversations = conversations + 1 WHERE channel = NEW.channel;
    END;
    CREATE TRIGGER inbox_counted AFTER INSERT ON inbox WHEN NEW.channel <> '' BEGIN
        INSERT INTO channel_conversation (channel, chat, persona, name, messages, first_at, last_at)
            SELECT channel, NEW.chat, NEW.persona, NEW.name, 1, NEW.at, NEW.at
                FROM channel WHERE channel = NEW.channel
            ON CONFLICT (channel, chat) DO UPDATE SET
                messages = messages + 1, last_at = max(last_at, NEW.at), error = NULL, error_at = NULL;
        UPDATE channel SET messages = messages + 1, last_message_at = max(coalesce(last_message_at, 0), NEW.at)
            WHERE channel = NEW.channel;
    END;
    CREATE TRIGGER conversation_marked AFTER INSERT ON conversation WHEN NEW.channel <> '' BEGIN
        UPDATE conversation SET open = 1 WHERE id = NEW.id
            AND EXISTS (SELECT 1 FROM channel
                WHERE channel = NEW.channel AND persona = NEW.persona AND open = 1);
    END;
    CREATE TRIGGER conversation_counted AFTER INSERT ON conversation
        WHEN NEW.channel <> '' AND NEW.role = 'assistant' BEGIN
        UPDATE channel_conversation SET messages = messages + 1, last_at = max(last_at, NEW.at)
            WHERE channel = NEW.channel AND chat = NEW.chat AND persona = NEW.persona;
        UPDATE channel SET messages = messages + 1, last_message_at = max(coalesce(last_message_at, 0), NEW.at)
            WHERE channel = NEW.channel AND persona = NEW.persona;
    END;
    """
