"""Step 6: an index, because every search of her documents looks up the files' titles."""

from __future__ import annotations

from typing import Final

SQL: Final = "CREATE INDEX conversation_titled ON conversation (persona) WHERE title <> ''"
