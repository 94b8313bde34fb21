"""Step 8: the name that config.json still holds, from a change of a channel's name until it is written there, too."""

from __future__ import annotations

from typing import Final

SQL: Final = "ALTER TABLE channel ADD COLUMN mirror_name TEXT"
