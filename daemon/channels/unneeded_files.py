"""Files that a gateway fetched for messages that were not kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from daemon.ledger import Ledger
from daemon.personas.media import FOLDER
from daemon.personas.personas import Personas


async def remove_unmentioned(ledger: Ledger, personas: Personas, persona_id: str, files: Iterable[str]) -> None:
    """Delete those of these files that no message refers to. Raises LedgerError."""
    folder = personas.folder(persona_id) / FOLDER
    for name in files:
        if not await ledger.mentions(persona_id, name):
            await asyncio.to_thread((folder / name).unlink, missing_ok=True)
