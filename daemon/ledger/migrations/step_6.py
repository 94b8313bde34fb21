"""Step 6: what her files are called is looked up with every search of her documents."""

from __future__ import annotations

from typing import Final

SQL: Final = "CREATE INDEX conversation_titled ON conversation (persona) WHERE title <> ''"
