"""Step 9: why a message was set aside. Those of earlier versions were in hand when her process died."""

from __future__ import annotations

from typing import Final

SQL: Final = "ALTER TABLE inbox ADD COLUMN reason TEXT NOT NULL DEFAULT ''"
