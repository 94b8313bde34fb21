"""Step 19: the history of the memory files.

``memory_change`` holds a change until its files are written: a feed's digest kept its own texts until now, and one that
was not written yet becomes such a change. ``memory_history`` says since when a persona's files are looked at, so
that a file that is new afterwards is known to be new.
"""

from __future__ import annotations

from typing import Final

SQL: Final = """
    CREATE TABLE memory_change (
        id INTEGER PRIMARY KEY,
        persona TEXT NOT NULL,
        at INTEGER NOT NULL,
        why TEXT NOT NULL,
        before TEXT NOT NULL,
        after TEXT NOT NULL
    ) STRICT;
    CREATE INDEX memory_change_persona ON memory_change (persona, id);
    INSERT INTO memory_change (persona, at, why, before, after)
        SELECT persona, at, json_object('cause', 'feed', 'source', source, 'key', key), before, after FROM feed
            WHERE state = 'digested' ORDER BY id;

    CREATE TABLE memory_version (
        id INTEGER PRIMARY KEY,
        persona TEXT NOT NULL,
        file TEXT NOT NULL,
        version INTEGER NOT NULL,
        at INTEGER NOT NULL,
        why TEXT NOT NULL,
        digest TEXT NOT NULL,
        body TEXT,
        UNIQUE (persona, file, version)
    ) STRICT;
    CREATE INDEX memory_version_persona ON memory_version (persona, id);

    CREATE TABLE memory_history (persona TEXT PRIMARY KEY, begun_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    """
