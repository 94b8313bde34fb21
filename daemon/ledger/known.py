"""Whether the ledger is the one that the personas know: asked before it is opened, because opening makes a new one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from daemon.ledger.errors import WAY_BACK, LedgerDamaged, LedgerLost, LedgerUnreadable
from daemon.ledger.inspection import Inspection, inspect, left_uncleanly
from daemon.ledger.mark import Mark
from daemon.ledger.migrations import MIGRATIONS

LEDGER_NAME: Final = "ledger.db"
PERSONAS_NAME: Final = "personas"
MARK_NAME: Final = ".ledger-mark"


def mark_of(state_dir: Path) -> Mark:
    """Return the mark of this state directory's ledger."""
    return Mark(state_dir / PERSONAS_NAME / MARK_NAME)


class AcceptedLoss(msgspec.Struct, frozen=True):
    """What the personas went on without: ``spoken`` of them had spoken, and line ``known`` had been written.

    ``left`` is the last line that the ledger has; ``known`` is None without a mark. ``set_aside`` are files that were
    kept under other names.
    """

    reason: str
    spoken: int
    known: int | None
    left: int
    set_aside: list[str]


def require_known(state_dir: Path, *, accept_loss: bool) -> AcceptedLoss | None:
    """Raise LedgerLost when the personas know more than the ledger, LedgerDamaged when it cannot be read.

    After a stop that was not orderly it reads the whole file, and raises LedgerDamaged when that is unsound.
    ``accept_loss`` forgets what they know instead, and sets aside a file that no repair can read; what was accepted is
    returned. Raise other LedgerErrors when the file cannot be read for now. Blocks.
    """
    path = state_dir / LEDGER_NAME
    unclean = left_uncleanly(path)
    try:
        found = inspect(path, integrity=unclean)
    except LedgerUnreadable as error:
        if not accept_loss:
            raise
        return _accept(state_dir, None, f"cannot be read ({error.reason})")
    accepted = None
    if missing := missing_personas(state_dir, found):
        if not accept_loss:
            raise LedgerLost(missing)
        return _accept(state_dir, None, missing)
    if loss := what_is_lost(state_dir, found):
        if not accept_loss:
            raise LedgerLost(f"{path} {loss}. {WAY_BACK}")
        accepted = _accept(state_dir, found, loss)
    if found and found.faults and found.version <= len(MIGRATIONS):
        raise LedgerDamaged(damage(path, found.faults))
    return accepted


def missing_personas(state_dir: Path, found: Inspection | None) -> str:
    """Return what is wrong and what to do when there is no persona at all beside a ledger with conversations, or "".

    One who is being deleted has a folder still, under another name.
    """
    personas = state_dir / PERSONAS_NAME
    if found is None or not found.personas or any(_folders(personas)) or any(personas.glob(".deleted-*")):
        return ""
    return (
        f"{personas} has no persona, and {state_dir / LEDGER_NAME} has conversations of {len(found.personas)}: "
        "put the newest copy of the folder back. Or start once with `personad serve --accept-loss`: the ledger is then "
        "kept under another name, and a new one begins"
    )


def unknown_personas(state_dir: Path, found: Inspection) -> list[str]:
    """Return the ids of those who have conversations in the ledger and no folder."""
    personas = state_dir / PERSONAS_NAME
    known = {folder.name.removeprefix(".deleted-") for folder in personas.glob("*")}
    return [persona for persona in found.personas if persona not in known]


def _folders(personas: Path) -> Iterator[Path]:
    return (folder for folder in personas.glob("[!.]*") if folder.is_dir())


def what_is_lost(state_dir: Path, found: Inspection | None) -> str:
    """Return what the ledger lacks that the personas of this directory know, or "" when it is the one that they know.

    Without a mark, which earlier versions did not keep, their memory and their files tell that they have spoken.
    """
    personas = state_dir / PERSONAS_NAME
    mark = mark_of(state_dir).read()
    if not any(personas.glob("[!.]*/config.json")):
        return ""
    if found is None or found.version == 0:
        if mark is None and not any(map(_has_spoken, personas.glob("[!.]*"))):
            return ""
        return "is missing" if found is None and not (state_dir / LEDGER_NAME).exists() else "is empty"
    if mark is None or not found.reached.behind(mark):
        return ""
    return (
        f"is not the one that it was: it ends at line {found.reached.conversation} of the conversations"
        f" and message {found.reached.inbox}, and it had {mark.conversation} and {mark.inbox}"
    )


def _has_spoken(folder: Path) -> bool:
    return any(folder.glob("memory/*.md")) or any(folder.glob("media/[!.]*"))


def damage(path: Path, faults: list[str]) -> str:
    """Return what is wrong with the file, and what to do."""
    found = "; ".join(faults)
    return f"{path} is damaged ({found}): stop the daemon and run `personad repair`, or put a backup there"


def _accept(state_dir: Path, found: Inspection | None, reason: str) -> AcceptedLoss:
    personas, mark = state_dir / PERSONAS_NAME, mark_of(state_dir)
    spoken = sum(_has_spoken(record.parent) for record in personas.glob("[!.]*/config.json"))
    known = mark.read()
    aside: list[str] = []
    mark.remove()
    if found is None or found.version == 0:
        aside = _set_aside(state_dir / LEDGER_NAME)
    left = found.reached.conversation if found else 0
    return AcceptedLoss(reason, spoken, known.conversation if known else None, left, aside)


def _set_aside(path: Path) -> list[str]:
    """Keep what a new ledger would overwrite: a log without its file may still be of use to somebody."""
    parts = [path.with_name(f"{path.name}{ending}") for ending in ("", "-wal", "-shm")]
    names = {part: part.with_name(f"lost-{time.time_ns()}-{part.name}") for part in parts if part.exists()}
    for part, name in names.items():
        part.rename(name)
    return [name.name for name in names.values()]
