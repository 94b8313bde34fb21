"""Whether the ledger is the one that the personas know: asked before it is opened, because opening makes a new one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from daemon.ledger.errors import LedgerDamaged, LedgerLost
from daemon.ledger.inspection import Inspection, inspect, left_uncleanly
from daemon.ledger.mark import Mark

LEDGER_NAME: Final = "ledger.db"
PERSONAS_NAME: Final = "personas"
MARK_NAME: Final = ".ledger-mark"

WAY_BACK: Final = (
    "Stop whatever uses it and put the newest copy of ledger.db back, with its ledger.db-wal if the copy has one. "
    "Or start once with `personad serve --accept-loss`: the personas then go on with what is left."
)


def mark_of(state_dir: Path) -> Mark:
    """Return the mark of this state directory's ledger."""
    return Mark(state_dir / PERSONAS_NAME / MARK_NAME)


def require_known(state_dir: Path, *, accept_loss: bool) -> None:
    """Raise LedgerLost when the personas know more than the ledger, LedgerDamaged when a crash left it unsound.

    ``accept_loss`` forgets what they know instead. Raise other LedgerErrors when the file cannot be read. Blocks; after
    a stop that was not orderly it reads the whole file.
    """
    path = state_dir / LEDGER_NAME
    unclean = left_uncleanly(path)
    found = inspect(path, integrity=unclean)
    if loss := what_is_lost(state_dir, found):
        if not accept_loss:
            raise LedgerLost(f"{path} {loss}. {WAY_BACK}")
        _set_aside(path, found)
    if found and found.faults:
        raise LedgerDamaged(damage(path, found.faults))


def what_is_lost(state_dir: Path, found: Inspection | None) -> str:
    """Return what the ledger lacks that the personas of this directory know, or "" when it is the one that they know.

    Without a mark, which earlier versions did not keep, their memory and their files tell that they have spoken.
    """
    personas = state_dir / PERSONAS_NAME
    mark = mark_of(state_dir).read()
    if not any(personas.glob("[!.]*/config.json")):
        return ""
    if found is None or found.version == 0:
        if mark is None and not _have_spoken(personas):
            return ""
        return "is missing" if found is None and not (state_dir / LEDGER_NAME).exists() else "is empty"
    if mark is None or not found.reached.behind(mark):
        return ""
    return (
        f"is not the one that it was: it ends at line {found.reached.conversation} of the conversations"
        f" and message {found.reached.inbox}, and it had {mark.conversation} and {mark.inbox}"
    )


def _have_spoken(personas: Path) -> bool:
    return any(personas.glob("[!.]*/memory/*.md")) or any(personas.glob("[!.]*/media/[!.]*"))


def damage(path: Path, faults: list[str]) -> str:
    """Return what is wrong with the file, and what to do."""
    found = "; ".join(faults)
    return f"{path} is damaged ({found}): stop the daemon and run `personad repair`, or put a backup there"


def _set_aside(path: Path, found: Inspection | None) -> None:
    """Keep what a new ledger would overwrite: a log without its file may still be of use to somebody."""
    mark_of(path.parent).remove()
    if found is None or found.version == 0:
        for part in path.parent.glob(f"{path.name}*"):
            if part.name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
                part.rename(part.with_name(f"lost-{time.time_ns()}-{part.name}"))
