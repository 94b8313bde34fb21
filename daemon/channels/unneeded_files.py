"""Files that nobody needs: fetched for messages that were not kept, or of words that were erased."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from daemon.ledger import Ledger
from daemon.personas.media import FOLDER
from daemon.personas.personas import Personas


async def remove_unmentioned(ledger: Ledger, personas: Personas, persona_id: str, files: Iterable[str]) -> None:
    """Delete those of these files that no message refers to. Raises LedgerError, OSError."""
    folder = personas.folder(persona_id) / FOLDER
    for name in files:
        if not await ledger.mentions(persona_id, name):
            await asyncio.to_thread((folder / name).unlink, missing_ok=True)


async def remove_erased(ledger: Ledger, personas: Personas) -> None:
    """Delete the files of erased words, also of those that were erased just before a kill.

    Raises LedgerError, OSError.
    """
    for persona_id, name in await ledger.unneeded_files():
        await remove_unmentioned(ledger, personas, persona_id, [name])
        await ledger.file_gone(persona_id, name)
