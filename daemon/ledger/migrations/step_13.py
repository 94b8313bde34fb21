"""Step 13: the instructions that an open channel's operator gives for what is said there."""

from __future__ import annotations

from typing import Final

SQL: Final = "ALTER TABLE channel ADD COLUMN instructions TEXT;"
