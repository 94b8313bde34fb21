"""Step 16: what was used of remote minds and organs, one row for each call; old ones are rolled up by day.

``day`` is the day in her person's zone when the call began, ``YYYY-MM-DD``. ``state`` is ``open`` while the call lasts:
the row then holds what is reserved for it. Afterwards it says where the numbers are from: ``reported``, ``counted``,
``estimated`` or ``unknown``. ``rolled`` marks a row that stands for all ``calls`` of a day that is long past. ``cost``
is in nano-units of ``currency``, NULL if no price is known.
"""

from __future__ import annotations

from typing import Final

SQL: Final = """
    CREATE TABLE call (
        id INTEGER PRIMARY KEY,
        persona TEXT NOT NULL,
        day TEXT NOT NULL,
        purpose TEXT NOT NULL,
        organ TEXT NOT NULL,
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        state TEXT NOT NULL,
        calls INTEGER NOT NULL DEFAULT 1,
        rolled INTEGER NOT NULL DEFAULT 0,
        input INTEGER NOT NULL,
        output INTEGER NOT NULL,
        cached INTEGER NOT NULL,
        unit TEXT NOT NULL,
        units INTEGER NOT NULL,
        cost INTEGER,
        currency TEXT NOT NULL
    ) STRICT;
    CREATE INDEX call_day ON call (persona, day);
    CREATE INDEX call_single ON call (day) WHERE rolled = 0;
    CREATE INDEX call_open ON call (persona) WHERE state = 'open';
    """
