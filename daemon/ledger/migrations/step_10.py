"""Step 10: webhook requests that could not be read are kept until a version can read them; visitors; who opted out.

``unread`` says why, ``unread_by`` which version tried. Requests that several processes died with were closed with their
body until now; they are kept in the same way, and tried once more by this version.

A channel's messages are listed by their time, which the index ``conversation_chat`` now holds, too.

``visitor`` holds who has been welcomed. Of earlier people the chat is known, which is the account except on Slack.

``opt_out`` names a line by its type and number, because a STOP outlives the channel.
"""

from __future__ import annotations

from typing import Final

SQL: Final = """
    ALTER TABLE webhook ADD COLUMN unread TEXT;
    ALTER TABLE webhook ADD COLUMN unread_by TEXT NOT NULL DEFAULT '';
    UPDATE webhook SET done = 0, unread = 'Her process died several times with it in hand.'
        WHERE done = 1 AND length(body) > 0;
    CREATE INDEX webhook_unread ON webhook (channel, number) WHERE unread IS NOT NULL AND done = 0;

    DROP INDEX conversation_chat;
    CREATE INDEX conversation_chat ON conversation (channel, chat, at) WHERE channel <> '';

    CREATE TABLE visitor (
        channel TEXT NOT NULL,
        account TEXT NOT NULL,
        persona TEXT NOT NULL,
        PRIMARY KEY (channel, account)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO visitor (channel, account, persona)
        SELECT channel, chat, persona FROM channel_conversation
            WHERE channel IN (SELECT channel FROM channel WHERE open = 1);

    CREATE TABLE opt_out (
        type TEXT NOT NULL,
        line TEXT NOT NULL,
        account TEXT NOT NULL,
        is_out INTEGER NOT NULL CHECK (is_out = 0 OR is_out = 1),
        at INTEGER NOT NULL,
        PRIMARY KEY (type, line, account)
    ) STRICT, WITHOUT ROWID;
    """
