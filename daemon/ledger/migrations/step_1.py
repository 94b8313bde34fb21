"""Step 1: the inbox, the conversation and the outbox.

AUTOINCREMENT never gives a deleted row's id again, and for the outbox it also remembers the largest seq
(https://www.sqlite.org/autoinc.html). A conversation is (type, name, talk) everywhere. The inbox's CHECK is spelled
out because IN builds a temporary table for each statement, which is a third of an insert's time.
"""

from __future__ import annotations

from typing import Final

SQL: Final = """
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
    """
