"""Step 3: the name that the sender gave a file, and what her organ made of it."""

from __future__ import annotations

from typing import Final

SQL: Final = """
    ALTER TABLE inbox ADD COLUMN title TEXT NOT NULL DEFAULT '';
    ALTER TABLE held ADD COLUMN title TEXT NOT NULL DEFAULT '';
    ALTER TABLE conversation ADD COLUMN title TEXT NOT NULL DEFAULT '';
    ALTER TABLE conversation ADD COLUMN perceived TEXT NOT NULL DEFAULT '';
    """
