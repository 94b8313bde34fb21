"""What is planned next for each persona's person, in memory, so that a turn need not wait for it."""

from __future__ import annotations

from daemon.ledger import Ledger, LedgerError
from proto.reminding import MOST_PLANNED, Planned


class Agenda:
    """A copy of the next rows. Who changes one has it read again; at worst a prompt knows of it a turn late."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._next: dict[str, list[Planned]] = {}

    async def refresh(self, persona_id: str) -> None:
        """Read her next rows again. If that fails, the old ones stay."""
        try:
            rows = await self._ledger.reminders(persona_id)
        except LedgerError:
            return
        self._next[persona_id] = [
            Planned(str(row.id), row.body, row.due, row.cron, row.zone, row.task) for row in rows[:MOST_PLANNED]
        ]

    def next(self, persona_id: str) -> list[Planned]:
        """Return what is planned next, the soonest first."""
        return self._next.get(persona_id, [])

    def forget(self, persona_id: str) -> None:
        """Forget a deleted persona."""
        self._next.pop(persona_id, None)
