"""A process that changes a persona's memory and is killed at a chosen step: ``python -m tests.daemon.personas.dying``.

Its arguments are the folder, her id, and the step.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from daemon.ledger import Ledger, Why
from daemon.logging.log import Log, Sink
from daemon.personas import atomic_files
from daemon.personas.memories import Memories
from daemon.personas.personas import Personas
from daemon.runtime.clock import SystemClock
from daemon.settings.settings import Logs

BEFORE: Final = {"person": "- Name: Sam\n"}
AFTER: Final = {"person": "- Name: Sam\n- Cat: Tom\n", "wishes": "- a boat\n"}
STEPS: Final = ("before it is kept", "kept", "one file written", "all files written", "finished")


def die() -> None:
    """SIGKILL this process."""
    os.kill(os.getpid(), signal.SIGKILL)


async def change(folder: Path, persona_id: str, step: str) -> None:
    """Begin to learn from a talk and die at the step."""
    log = Log(Sink(Logs(), os.open(os.devnull, os.O_WRONLY), terminal=False))
    ledger = await Ledger.open(folder / "ledger.db")
    personas = Personas(folder / "personas", log)
    await personas.load()
    write = atomic_files.write
    written: list[Path] = []

    def then_die(path: Path, data: bytes) -> None:
        write(path, data)
        written.append(path)
        if step == "one file written" or (step == "all files written" and len(written) == len(AFTER)):
            die()

    def dying(operation: Callable[..., Awaitable[object]], *, after: bool) -> Callable[..., Awaitable[object]]:
        async def run(*arguments: object) -> object:
            result = await operation(*arguments) if after else None
            die()
            return result

        return run

    atomic_files.write = then_die
    if step in STEPS[:2]:
        ledger.begin_change = dying(ledger.begin_change, after=step == "kept")  # type: ignore[method-assign, assignment]  # to die there
    if step == "finished":
        ledger.finish_change = dying(ledger.finish_change, after=True)  # type: ignore[method-assign, assignment]  # to die there
    why = Why("talk", last=2, said_from=1, said_to=2)
    await Memories(personas, ledger, SystemClock(), log).change(persona_id, BEFORE, AFTER, why)


if __name__ == "__main__":
    asyncio.run(change(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
