"""Exit codes: what a process that ended wants its starter to know."""

from __future__ import annotations

from typing import Final

OK: Final = 0
"""Asked to stop."""

LOCKED: Final = 3
"""Another daemon holds the state directory."""

CONFIG: Final = 64
"""Configuration that will not get better by itself: no retry."""

FAULT: Final = 70
"""A fault: retried with backoff."""

PORT_IN_USE: Final = 69
"""The listener's address is taken (sysexits' EX_UNAVAILABLE)."""
