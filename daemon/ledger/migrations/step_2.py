"""Step 2: gateways.

A channel's counters are stored, not computed, because each incoming batch reads the channel's row.
"""

from __future__ import annotations

from typing import Final

SQL: Final = """
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
    """
