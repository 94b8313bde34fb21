"""What people command: start, stop and restart. Her record says it first, so it holds when the daemon starts again.

``status`` in config.json is what her owner wants: ``hibernate`` after a stop, ``active`` after a start or a restart. A
file that has a fault is not rewritten, because somebody is at work on it.
"""

from __future__ import annotations

import asyncio

import msgspec

from daemon.channels.register import ChannelRegister
from daemon.personas.personas import Personas, PersonasError
from daemon.supervision.supervisor import Supervisor
from proto.records import Status


class Commands:
    """Commands of people for one persona, from the API and from her bots."""

    def __init__(self, personas: Personas, register: ChannelRegister, supervisor: Supervisor) -> None:
        self._personas = personas
        self._register = register
        self._supervisor = supervisor
        self._in_turn = asyncio.Lock()
        """Commands write in the order in which they came. Her keeper takes them in that order, too."""

    async def start(self, persona_id: str) -> bool:
        """Start her; False when she was running already.

        Raises StartFailed, and PersonasError when her record cannot be written: then nothing changes.
        """
        async with self._in_turn:
            await self._write(persona_id, "active")
        return await self._supervisor.start(persona_id)

    async def restart(self, persona_id: str) -> None:
        """Give her a new process, also if she was stopped. Raises as ``start``."""
        async with self._in_turn:
            await self._write(persona_id, "active")
        await self._supervisor.restart(persona_id)

    async def stop(self, persona_id: str) -> bool:
        """Stop her; False when she neither runs nor would run again at the next start of the daemon.

        Raises PersonasError when she is stopped but will be started again with the daemon.
        """
        failed: PersonasError | None = None
        async with self._in_turn:
            # Looked at in turn, since an earlier start may still be writing.
            persona = self._personas.get(persona_id)
            if not self._supervisor.running(persona_id) and (persona is None or persona.status != "active"):
                return False
            try:
                await self._write(persona_id, "hibernate")
            except PersonasError as error:
                failed = error
        await self._supervisor.stop(persona_id)
        if failed:
            raise PersonasError(f"She is stopped, but only until the daemon starts again: {failed}") from failed
        return True

    async def _write(self, persona_id: str, status: Status) -> None:
        persona = self._personas.get(persona_id)
        if persona is None or persona.status == status:
            return
        if fault := self._personas.faults().get(persona_id):
            raise PersonasError(f"Her status cannot be written: {fault}")
        await self._register.change_record(persona_id, lambda now: msgspec.structs.replace(now, status=status))
