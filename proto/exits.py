"""Exit codes: what a process that ended reports to whatever started it."""

from __future__ import annotations

from typing import Final

OK: Final = 0
"""The process was asked to stop."""

LOCKED: Final = 3
"""Another daemon holds the state directory."""

CONFIG: Final = 64
"""The configuration is wrong and has to be changed: not retried."""

DATA: Final = 65
"""The ledger is damaged, or not the one that it was: somebody has to decide (EX_DATAERR, sysexits(3)). Not retried."""

FAULT: Final = 70
"""An unexpected fault: retried with backoff."""

PORT_IN_USE: Final = 69
"""The listener's address is in use (EX_UNAVAILABLE, https://man7.org/linux/man-pages/man3/sysexits.h.3head.html)."""

NOT_NOW: Final = 75
"""A disk that is full or read-only, a folder that is not there, a locked file: retried (EX_TEMPFAIL, sysexits(3))."""
