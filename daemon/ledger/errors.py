"""The ledger's errors. Each text says what to do."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Final

from daemon.ledger.migrations import MIGRATIONS

WAY_BACK: Final = (
    "Stop whatever uses it and put the newest copy of ledger.db back, with its ledger.db-wal if the copy has one. "
    "Or start once with `personad serve --accept-loss`: the personas then go on with what is left."
)


class LedgerError(Exception):
    """The operation failed and nothing of it was kept."""


class LedgerFull(LedgerError):
    """The disk is full, read-only or failing. The ledger works again as soon as the disk does."""


class LedgerBusy(LedgerError):
    """The queue of operations is full, or another program holds the database. Try again shortly."""


class LedgerEnded(LedgerError):
    """The ledger is closed, or its thread has failed: the daemon is about to leave."""


class LedgerDamaged(LedgerError):
    """The file is not sound, or is no ledger. It needs somebody to act."""


class LedgerUnreadable(LedgerDamaged):
    """The file is beyond repair for this ``reason``: a backup helps, or ``--accept-loss``."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be read, and cannot be repaired ({reason}). {WAY_BACK}")
        self.reason = reason


class LedgerLost(LedgerError):
    """The file is missing, or is an earlier one than the personas know. It needs somebody to act."""


class ChannelTaken(LedgerError):
    """The bot already belongs to another channel. ``owner`` is the id of that channel's persona."""

    def __init__(self, owner: str) -> None:
        super().__init__(f"the bot already belongs to another channel, of persona {owner}: remove that one first")
        self.owner = owner


class ChannelUnknown(LedgerError):
    """The ledger has no such channel for this persona, or no longer has it."""

    def __init__(self, channel: str) -> None:
        super().__init__(f"the channel {channel} is not in the ledger: it was removed, or never added")


class WebhooksFull(LedgerError):
    """The channel's webhook queue is full."""

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
    sqlite3.SQLITE_CORRUPT: "{path} is damaged: stop the daemon and run `personad repair`, or put a backup there",
    sqlite3.SQLITE_NOTADB: "{path} is not a ledger, and cannot be repaired. " + WAY_BACK,
}


_PASSING: Final = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.EDQUOT,
        errno.EHOSTDOWN,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENODEV,
        errno.ENOMEM,
        errno.ENOSPC,
        errno.ENOTCONN,
        errno.ENXIO,
        errno.EROFS,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)


def too_new(path: Path, version: int) -> str:
    """Return what to do with a ledger that a newer personad wrote."""
    return (
        f"{path} has version {version}, but this personad only knows up to {len(MIGRATIONS)}: "
        "run the newer personad that wrote it, or put an older backup there"
    )


def may_pass(error: OSError) -> bool:
    """Return whether the disk may mend itself: it is full, remounted read-only, or a share that is away.

    https://man7.org/linux/man-pages/man3/errno.3.html
    """
    return error.errno in _PASSING


def explain(error: sqlite3.Error, path: Path) -> LedgerError:
    """Translate SQLite's error: LedgerFull for the disk, LedgerBusy for a lock, LedgerDamaged for the file itself."""
    # The low byte of an extended result code is its primary code (https://www.sqlite.org/rescode.html). Errors that
    # Python's module raises itself have no code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    for kind, texts in ((LedgerFull, _DISK), (LedgerBusy, _BUSY), (LedgerDamaged, _DAMAGED)):
        if code in texts:
            return kind(f"{texts[code].format(path=path)} (SQLite: {error})")
    return LedgerError(f"the ledger refused an operation (SQLite: {error})")
