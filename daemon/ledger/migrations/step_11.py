"""Step 11: which message of a chat an edit belongs to, and what it said, so that an edit without a change is known.

``perception`` is the inbox row of the message, ``line`` the line of the conversation that the next step replaces.
"""

from __future__ import annotations

from typing import Final

SQL: Final = """
    CREATE TABLE revision (
        channel TEXT NOT NULL,
        chat TEXT NOT NULL,
        message TEXT NOT NULL,
        persona TEXT NOT NULL,
        words TEXT NOT NULL,
        file TEXT NOT NULL,
        perception INTEGER,
        line INTEGER,
        at INTEGER NOT NULL,
        PRIMARY KEY (channel, chat, message)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX revision_age ON revision (at);
    """
