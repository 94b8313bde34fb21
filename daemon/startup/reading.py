"""Reads what is on the disk of every persona, and finishes or undoes what a kill cut short there."""

from __future__ import annotations

import asyncio
from pathlib import Path

from daemon.archives.restore import RESTORE_FOLDER
from daemon.feeding.feeds import FOLDER as FEEDS_NAME
from daemon.ledger import Ledger
from daemon.ledger.known import PERSONAS_NAME
from daemon.logging.log import Log
from daemon.personas.instructions import Instructions
from daemon.personas.media import remove_leftovers
from daemon.personas.memories import Memories
from daemon.personas.personas import Personas
from daemon.personas.spool import clear
from daemon.runtime.clock import Clock


async def read_personas(state_dir: Path, ledger: Ledger, log: Log) -> Personas:
    """Read the personas, and finish or undo what a kill cut short in their folders and in the ledger."""
    personas = Personas(state_dir / PERSONAS_NAME, log)
    await personas.load()
    for persona_id in await personas.deleted():
        await ledger.forget(persona_id)
        await personas.remove_deleted(persona_id)
    await remove_leftovers(state_dir / PERSONAS_NAME, ledger, log)
    await asyncio.to_thread(_clear, state_dir)
    return personas


async def read_knowledge(personas: Personas, ledger: Ledger, clock: Clock, log: Log) -> tuple[Memories, Instructions]:
    """Read what she knows and is told, and finish or undo what a kill cut short."""
    memories, instructions = Memories(personas, ledger, clock, log), Instructions(personas, log)
    await memories.load()
    await instructions.load()
    return memories, instructions


def _clear(state_dir: Path) -> None:
    """Remove exports and archives whose request a crash cut short."""
    clear((state_dir / PERSONAS_NAME).glob(f"*/{FEEDS_NAME}"))
    clear(state_dir.glob(f"{RESTORE_FOLDER}*"))
    # In an earlier version an index lay beside her keys. It is a cache, and is made again from her documents.
    for index in (state_dir / PERSONAS_NAME).glob("*/library.db*"):
        index.unlink(missing_ok=True)
