"""A persona's life beside her process: what waits for her goes to it, and comes back when it is gone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Protocol

import msgspec

from daemon.channels.register import ChannelRegister
from daemon.channels.states import GatewayStates
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox
from daemon.conversations.worker import Worker
from daemon.ledger import LedgerError
from daemon.logging.log import Log
from daemon.personas.personas import Personas, PersonasError
from daemon.runtime.tasks import Tasks
from daemon.settings.settings import Supervision
from daemon.supervision.briefing import Briefing
from daemon.supervision.dispatch import Dispatch
from daemon.supervision.generation import Generation
from daemon.supervision.life import GenerationFailed, Serving
from daemon.supervision.linked_process import Workshop
from proto.messages import FromWorker, Prepare
from proto.records import Persona


class Attendant(Protocol):
    """Gives her process work while it lives."""

    def attach(self, persona_id: str, worker: Worker) -> None:
        """She runs."""

    async def detach(self, persona_id: str, *, crashed: bool) -> None:
        """Her process is gone; ``crashed`` when nobody had asked for it."""


class PersonaLife:
    """One persona's. Besides the inbox the ``attendants`` get her new process, in this order."""

    def __init__(
        self,
        persona_id: str,
        workshop: Workshop,
        limits: Supervision,
        briefing: Briefing,
        dispatch: Dispatch,
        inbox: Inbox,
        attendants: Sequence[Attendant],
        register: ChannelRegister,
        states: GatewayStates,
        personas: Personas,
        hubs: Hubs,
        tasks: Tasks,
        log: Log,
    ) -> None:
        self._id = persona_id
        self._workshop = workshop
        self._limits = limits
        self._briefing = briefing
        self._dispatch = dispatch
        self._inbox = inbox
        self._attendants = [inbox, *attendants]
        self._register = register
        self._states = states
        self._personas = personas
        self._hubs = hubs
        self._tasks = tasks
        self._log = log

    def generation(self, number: int) -> Generation:
        """A process for her, not yet born."""
        log = self._log.bind(persona=self._id, generation=number)

        def receive(worker: Worker, message: FromWorker) -> None:
            self._dispatch.received(self._id, worker, message)

        return Generation(number, self._workshop, self._limits, self._tasks, log, receive)

    async def prepare(self) -> tuple[Prepare, frozenset[str]]:
        """Her first frame and the kinds of libraries for it. Raises GenerationFailed."""
        return await self._briefing.prepare(self._id)

    def risen(self, generation: Serving) -> None:
        """She runs: her web channel opens, and she gets what waits."""
        self._log.info("persona.running", persona=self._id, generation=generation.number, pid=generation.pid)
        self._hubs.started(self._id)
        for attendant in self._attendants:
            attendant.attach(self._id, generation)
        self._hubs.signal("Event", "Awake", self._personas.get(self._id), {})

    async def fallen(self, *, crashed: bool) -> None:
        """Her process is gone. Every attendant is told, also when one of them fails."""
        async with AsyncExitStack() as stack:
            for attendant in self._attendants:
                stack.push_async_callback(partial(attendant.detach, self._id, crashed=crashed))
        title = "Process died" if crashed else "Asleep"
        self._hubs.signal("Event", title, self._personas.get(self._id), {})

    async def faulted(self) -> None:
        """Drop what is held of her in memory; all of it is in the ledger."""
        async with AsyncExitStack() as stack:
            # Called from the last to the first: the inbox still knows what was in hand.
            stack.callback(self._hubs.resync, self._id)
            stack.push_async_callback(partial(self.fallen, crashed=True))
            stack.push_async_callback(self._inbox.drop, self._id)
            await self._tasks.reset()

    async def reload(self) -> None:
        """Read what waits for her back from the ledger. Raises GenerationFailed."""
        try:
            await self._inbox.load(self._id)
        except LedgerError as error:
            raise GenerationFailed(str(error)) from error

    async def gave_up(self, reason: str) -> None:
        """She failed too often: she is sick, and left alone until somebody acts."""
        self._hubs.stopped(self._id)
        try:
            persona = await self._register.change_record(self._id, _sick)
        except PersonasError as error:
            self._log.error("persona.not_saved", persona=self._id, reason=str(error))
            persona = self._personas.get(self._id)
        if persona is None:
            return
        await self._states.failed(self._id, reason)
        self._log.error("persona.sick", persona=self._id, reason=reason)
        self._hubs.signal("Event", "Persona became sick", _sick(persona), {"reason": reason})


def _sick(persona: Persona) -> Persona:
    return msgspec.structs.replace(persona, status="sick")
