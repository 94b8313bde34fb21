"""``personad repair``: salvage a damaged ledger, while no daemon runs."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from daemon.cli.commands import Context, UsageError, say, say_json
from daemon.ledger import LedgerError
from daemon.ledger.known import LEDGER_NAME, mark_of
from daemon.ledger.repair import repair

LOCK_NAME: Final = "lock"
FAILED: Final = 1


def run(context: Context) -> int:
    """Write what can be read into a new file, keep the old one beside it, and say what was lost."""
    path = context.settings.state_dir / LEDGER_NAME
    try:
        with _alone(context.settings.state_dir):
            if not path.exists():
                raise UsageError(f"{path} does not exist; there is nothing to repair")
            done = repair(path, mark_of(context.settings.state_dir))
    except (LedgerError, OSError, sqlite3.Error) as error:
        say(f"Nothing was changed: {error}")
        return FAILED
    if context.arguments.json:
        say_json({"kept": done.kept, "short": done.short, "old": [str(part) for part in done.old]})
        return 0
    say(f"{path}: {sum(done.kept.values())} rows were kept, {done.kept.get('conversation', 0)} of them lines")
    for table in done.short:
        say(f"Some rows of {table} could not be read and are lost.")
    for part in done.old:
        say(f"The old file is kept: {part}")
    return 0


@contextmanager
def _alone(state_dir: Path) -> Iterator[None]:
    """Hold the daemon's lock on the state directory. Raise UsageError while a daemon has it."""
    descriptor = os.open(state_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise UsageError(f"a daemon uses {state_dir}: stop it first") from error
    finally:
        os.close(descriptor)
