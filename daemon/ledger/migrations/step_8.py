"""Step 8: a renamed channel's old name, which config.json still has until the new one is written there."""

from __future__ import annotations

from typing import Final

SQL: Final = "ALTER TABLE channel ADD COLUMN mirror_name TEXT"
