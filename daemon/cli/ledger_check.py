"""What ``personad doctor`` says about the ledger's file: whether it is there, whole, private and of this version."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Literal, TypeAlias

from daemon.ledger import LedgerBusy, LedgerError
from daemon.ledger.errors import WAY_BACK, too_new
from daemon.ledger.inspection import Inspection, inspect
from daemon.ledger.known import LEDGER_NAME, damage, missing_personas, unknown_personas, what_is_lost
from daemon.ledger.migrations import MIGRATIONS
from daemon.ledger.repair import NOTE, gaps

Verdict: TypeAlias = tuple[Literal["ok", "warn", "fail"], str]


def check_ledger(state_dir: Path) -> Verdict:
    """Read the whole file and change nothing; a daemon may use it meanwhile."""
    path = state_dir / LEDGER_NAME
    try:
        found = inspect(path, integrity=True, texts=True)
        if missing := missing_personas(state_dir, found):
            return "fail", missing
        if lost := what_is_lost(state_dir, found):
            return "fail", f"{path} {lost}. {WAY_BACK}"
        if found is None:
            return "ok", f"{path} does not exist yet; the daemon creates it"
        return _exposed(path) or _content(path, found, unknown_personas(state_dir, found))
    except LedgerBusy as error:
        return "warn", str(error)
    except LedgerError as error:
        return "fail", str(error)
    except OSError as error:
        return "warn", f"{path}: {error.strerror}; run doctor as the daemon's user"


def _exposed(path: Path) -> Verdict | None:
    status = path.stat()
    if os.geteuid() not in (0, status.st_uid):
        return "fail", f"{path} belongs to uid {status.st_uid}; run as that user, or chown it to {os.geteuid()}"
    if status.st_uid != path.parent.stat().st_uid:
        owner = path.parent.stat().st_uid
        return "fail", f"{path} belongs to uid {status.st_uid}, its folder to {owner}; chown {owner} {path}"
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        return "fail", f"{path} is open to others (mode {mode:04o}); chmod 600 {path}"
    return None


def _content(path: Path, found: Inspection, unknown: list[str]) -> Verdict:
    if found.version > len(MIGRATIONS):
        return "fail", too_new(path, found.version)
    if found.faults:
        return "fail", damage(path, found.faults)
    if found.unreadable:
        rows = ", ".join(found.unreadable[:10])
        return "warn", (
            f"{path} holds bytes that are no text, in {rows}; they are read as \N{REPLACEMENT CHARACTER}. "
            "To write them so, stop the daemon and run `personad repair`"
        )
    if unknown:
        folders = ", ".join(unknown[:10])
        return "warn", (
            f"{path} has conversations of {len(unknown)} who have no folder ({folders}): put their folders back from a "
            "backup; what they said stays here"
        )
    if lost := gaps(path.parent):
        return "warn", _hint(path, lost)
    return "ok", f"{path} is whole, up to line {found.reached.conversation} of the conversations"


def _hint(path: Path, lost: dict[Path, list[str]]) -> str:
    tables = ", ".join(sorted({table for short in lost.values() for table in short})) or "it"
    old = ", ".join(str(note).removesuffix(NOTE) + "*" for note in lost)
    return (
        f"{path} is whole, but a repair could not read some rows of {tables}. The damaged file is kept; "
        f"when you need it no more, delete {old}"
    )
