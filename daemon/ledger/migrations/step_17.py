"""Step 17: requests for a chat completion, so that one that is sent again is the same message and gets its answer.

``chat`` is the request's key and the chat of its lines, ``perception`` the last message of it. ``history`` and
``instructions`` are what came with it; both are emptied with the answer. ``answer`` holds what she said, as JSON, until
a client has taken it.
"""

from __future__ import annotations

from typing import Final

SQL: Final = """
    CREATE TABLE request (
        persona TEXT NOT NULL,
        chat TEXT NOT NULL,
        perception INTEGER NOT NULL,
        history TEXT NOT NULL,
        instructions TEXT NOT NULL,
        answer TEXT NOT NULL DEFAULT '[]',
        state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'answered', 'taken')),
        at INTEGER NOT NULL,
        PRIMARY KEY (persona, chat)
    ) STRICT;
    CREATE INDEX request_age ON request (at);
    """
