"""Step 14: the other id of a person whom a provider knows by two, so that one person has one conversation.

``account`` is the id under which the person is known on the channel, and ``other`` leads to it.
"""

from __future__ import annotations

from typing import Final

SQL: Final = """
    CREATE TABLE alias (
        channel TEXT NOT NULL,
        other TEXT NOT NULL,
        account TEXT NOT NULL,
        persona TEXT NOT NULL,
        PRIMARY KEY (channel, other)
    ) STRICT, WITHOUT ROWID;
    """
