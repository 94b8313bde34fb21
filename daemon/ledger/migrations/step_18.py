"""Step 18: what it takes to find again what was said.

``recall_index`` names each persona's full-text index, a virtual table ``recall_<number>`` of its own: her words never
share one with another persona's, and dropping the table erases them all. Lines with an id from ``below`` on are in it;
older ones are added in the background, so that this step takes no time whatever the number of lines.

``fed_line`` holds the lines of conversations that she was fed. They stand in the same index under their id with a
minus. ``meaning`` and ``meaning_block`` are a cache of vectors by line, made by ``model`` for the lines up to ``meant``
and the fed ones up to ``meant_fed``.
"""

from __future__ import annotations

from typing import Final

SQL: Final = """
    CREATE TABLE recall_index (
        number INTEGER PRIMARY KEY,
        persona TEXT NOT NULL UNIQUE,
        below INTEGER NOT NULL,
        meant INTEGER NOT NULL DEFAULT 0,
        meant_fed INTEGER NOT NULL DEFAULT 0,
        model TEXT NOT NULL DEFAULT ''
    ) STRICT;

    CREATE TABLE fed_line (
        id INTEGER PRIMARY KEY,
        persona TEXT NOT NULL,
        key TEXT NOT NULL,
        source TEXT NOT NULL,
        title TEXT NOT NULL,
        role TEXT NOT NULL CHECK (role = 'person' OR role = 'assistant'),
        content TEXT NOT NULL,
        at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX fed_line_key ON fed_line (persona, key);
    CREATE INDEX fed_line_time ON fed_line (persona, at);

    CREATE TABLE meaning (
        persona TEXT NOT NULL,
        line INTEGER NOT NULL,
        vector BLOB NOT NULL,
        PRIMARY KEY (persona, line)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE meaning_block (
        persona TEXT NOT NULL,
        number INTEGER NOT NULL,
        lines BLOB NOT NULL,
        codes BLOB NOT NULL,
        PRIMARY KEY (persona, number)
    ) STRICT;
    """
