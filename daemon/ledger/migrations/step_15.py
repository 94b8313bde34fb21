"""Step 15: answers that she was told to stop: what was said of them until then is kept and marked."""

from __future__ import annotations

from typing import Final

SQL: Final = """
    ALTER TABLE conversation ADD COLUMN hushed INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE outbox ADD COLUMN hushed INTEGER NOT NULL DEFAULT 0;
    """
