"""Step 20: reminders and routines, and what was told of them.

``due`` is when a reminder is meant next, ``wake`` when it is looked at next: later than ``due`` while quiet hours hold
it back. An empty ``type`` means no particular conversation. A telling is open until its message was delivered, so that
it can go another way; ``tried`` holds the channels on which that failed, as JSON. A request is what a turn asked for
and ``got``, a reminder as JSON, so that the turn can be repeated.
"""

from __future__ import annotations

from typing import Final

SQL: Final = """
    CREATE TABLE reminder (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        persona TEXT NOT NULL,
        body TEXT NOT NULL,
        cron TEXT NOT NULL,
        zone TEXT NOT NULL,
        due INTEGER NOT NULL,
        wake INTEGER NOT NULL,
        type TEXT NOT NULL,
        name TEXT NOT NULL,
        channel TEXT NOT NULL,
        chat TEXT NOT NULL,
        task INTEGER NOT NULL CHECK (task = 0 OR task = 1),
        quiet INTEGER NOT NULL CHECK (quiet = 0 OR quiet = 1),
        created_at INTEGER NOT NULL,
        told INTEGER NOT NULL DEFAULT 0,
        told_at INTEGER
    ) STRICT;
    CREATE INDEX reminder_due ON reminder (persona, due);
    CREATE INDEX reminder_wake ON reminder (wake);

    CREATE TABLE telling (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        persona TEXT NOT NULL,
        reminder INTEGER NOT NULL,
        body TEXT NOT NULL,
        cron TEXT NOT NULL,
        due INTEGER NOT NULL,
        at INTEGER NOT NULL,
        content TEXT NOT NULL,
        seq INTEGER,
        open INTEGER NOT NULL CHECK (open = 0 OR open = 1),
        tried TEXT NOT NULL DEFAULT '[]'
    ) STRICT;
    CREATE INDEX telling_due ON telling (persona, due);
    CREATE INDEX telling_open ON telling (id) WHERE open = 1;

    CREATE TABLE reminder_request (
        persona TEXT NOT NULL,
        perception INTEGER NOT NULL,
        key TEXT NOT NULL,
        got TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (persona, perception, key)
    ) STRICT, WITHOUT ROWID;
    """
