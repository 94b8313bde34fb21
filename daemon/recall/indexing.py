"""Older lines become searchable in the background, a bounded step at a time; new ones are so when they are written."""

from __future__ import annotations

from typing import Final

from daemon.ledger import Ledger, LedgerError
from daemon.logging.log import Log
from daemon.personas.personas import Personas
from daemon.runtime.clock import Clock

PAUSE: Final = 0.05
"""Seconds between two steps, so that whoever writes meanwhile does not wait behind several."""

LOOK_EVERY: Final = 3600.0
"""Seconds until it looks again: a persona who was restored or whose file was repaired has older lines, too."""

RETRY: Final = 60.0


async def index(ledger: Ledger, personas: Personas, clock: Clock, log: Log) -> None:
    """Index what is not indexed yet, persona by persona, the latest lines first."""
    while True:
        wait = LOOK_EVERY
        for persona_id in [one.id for one in personas.all()]:
            try:
                await _index(ledger, persona_id, clock, log)
            except LedgerError as error:
                log.error("recall.not_indexed", persona=persona_id, reason=str(error))
                wait = RETRY
        await clock.sleep(wait)


async def _index(ledger: Ledger, persona_id: str, clock: Clock, log: Log) -> None:
    steps = 0
    while await ledger.index_step(persona_id):
        steps += 1
        await clock.sleep(PAUSE)
    if steps:
        log.info("recall.indexed", persona=persona_id, steps=steps)
