"""Step 4: feeds.

A row holds the memory files only until they are written.
"""

from __future__ import annotations

from typing import Final

SQL: Final = """
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
    """
