"""What can go wrong with the ledger, in words that say what to do about it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final


class LedgerError(Exception):
    """The ledger did not do what was asked, and nothing of it was kept."""


class LedgerFull(LedgerError):
    """The disk is full, read-only or failing. The ledger works again as soon as the disk does."""


class LedgerBusy(LedgerError):
    """More operations wait than the queue holds, or another program holds the database: try again shortly."""


class ChannelTaken(LedgerError):
    """The bot belongs to another channel already: of ``owner``, a persona's id."""

    def __init__(self, owner: str) -> None:
        super().__init__(f"the bot already belongs to another channel, of persona {owner}: remove that one first")
        self.owner = owner


class ChannelUnknown(LedgerError):
    """The persona has no such channel in the ledger (any more)."""

    def __init__(self, channel: str) -> None:
        super().__init__(f"the channel {channel} is not in the ledger: it was removed, or never added")


class WebhooksFull(LedgerError):
    """As many webhook requests of one channel wait for its gateway as may."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} webhook requests wait already: start its persona")


_DISK: Final = {
    sqlite3.SQLITE_FULL: "the disk is full: free some space for {path}",
    sqlite3.SQLITE_READONLY: "the disk is read-only: make {path} writable again",
    sqlite3.SQLITE_IOERR: "the disk fails or is over a limit: check the file system and the quota of {path}",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened: check that {path} and its folder exist and are writable",
}
_BUSY: Final = {
    sqlite3.SQLITE_BUSY: "another program holds {path}: close it and try again",
    sqlite3.SQLITE_LOCKED: "another program holds {path}: close it and try again",
}
_DAMAGED: Final = {
    sqlite3.SQLITE_CORRUPT: "{path} is damaged: stop the daemon and restore a backup",
    sqlite3.SQLITE_NOTADB: "{path} is not a ledger: move it away, or restore a backup",
}


def explain(error: sqlite3.Error, path: Path) -> LedgerError:
    """The ledger's error for SQLite's: LedgerFull for the disk, LedgerBusy for a lock, else LedgerError."""
    # An extended result code carries its primary code in the low byte; errors of the Python module have none.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    for kind, texts in ((LedgerFull, _DISK), (LedgerBusy, _BUSY), (LedgerError, _DAMAGED)):
        if code in texts:
            return kind(f"{texts[code].format(path=path)} (SQLite: {error})")
    return LedgerError(f"the ledger refused an operation (SQLite: {error})")
