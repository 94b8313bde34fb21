"""Step 12: the token that a channel claims, as ``channel_id`` makes it. Until now it was always the channel's id.

A channel now keeps its id when its bot gets a new token, and an open channel that is made again gets a new id:
``former_channel`` holds the ids that were in use.

``participant`` says who wrote in which conversation of an open channel, so that one sender's words can be erased. Of
earlier conversations the chat is known, which is the sender except on Slack. ``unneeded_file`` holds files of erased
words until they are deleted.
"""

from __future__ import annotations

from typing import Final

SQL: Final = """
    ALTER TABLE channel ADD COLUMN claim TEXT NOT NULL DEFAULT '';
    UPDATE channel SET claim = channel;
    CREATE TABLE former_channel (channel TEXT PRIMARY KEY, persona TEXT NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO former_channel (channel, persona)
        SELECT channel, min(persona) FROM conversation
            WHERE channel <> '' AND channel NOT IN (SELECT channel FROM channel) GROUP BY channel;

    CREATE TABLE participant (
        channel TEXT NOT NULL,
        chat TEXT NOT NULL,
        account TEXT NOT NULL,
        persona TEXT NOT NULL,
        PRIMARY KEY (channel, chat, account)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX participant_account ON participant (account);
    INSERT INTO participant (channel, chat, account, persona)
        SELECT channel, chat, chat, persona FROM channel_conversation
            WHERE channel IN (SELECT channel FROM channel WHERE open = 1 AND type <> 'slack');
    CREATE TABLE unneeded_file (
        persona TEXT NOT NULL,
        media TEXT NOT NULL,
        PRIMARY KEY (persona, media)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX inbox_chat ON inbox (channel, chat) WHERE channel <> '';
    CREATE INDEX outbox_chat ON outbox (channel, chat) WHERE channel <> '';
    """
