"""What the daemon does around a persona's process: give it what waits, and take that back when the process is gone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Protocol

import msgspec

from daemon.channels.states import GatewayStates
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox
from daemon.conversations.worker import Worker
from daemon.ledger import LedgerError
from daemon.logging.log import Log
from daemon.personas.personas import Personas
from daemon.runtime.tasks import Tasks
from daemon.settings.settings import Supervision
from daemon.supervision.briefing import Briefing
from daemon.supervision.dispatch import Dispatch
from daemon.supervision.generation import Generation
from daemon.supervision.lifecycle import GenerationFailed, GenerationProcess
from daemon.supervision.linked_process import ProcessContext
from proto.messages import FromWorker, Prepare


class WorkerClient(Protocol):
    """Gives her process work while it is alive."""

    def attach(self, persona_id: str, worker: Worker) -> None:
        """Her process runs."""

    async def detach(self, persona_id: str, *, crashed: bool) -> None:
        """Her process is gone; ``crashed`` means that its end was not asked for."""


class PersonaLifecycle:
    """The ``Lifecycle`` of one persona. A new process is given to the inbox, then to the ``clients`` in this order."""

    def __init__(
        self,
        persona_id: str,
        context: ProcessContext,
        limits: Supervision,
        briefing: Briefing,
        dispatch: Dispatch,
        inbox: Inbox,
        clients: Sequence[WorkerClient],
        states: GatewayStates,
        personas: Personas,
        hubs: Hubs,
        tasks: Tasks,
        log: Log,
    ) -> None:
        self._id = persona_id
        self._context = context
        self._limits = limits
        self._briefing = briefing
        self._dispatch = dispatch
        self._inbox = inbox
        self._clients = [inbox, *clients]
        self._states = states
        self._personas = personas
        self._hubs = hubs
        self._tasks = tasks
        self._log = log

    def generation(self, number: int) -> Generation:
        """A new generation whose process is not started yet."""
        log = self._log.bind(persona=self._id, generation=number)

        def receive(worker: Worker, message: FromWorker) -> None:
            self._dispatch.received(self._id, worker, message)

        return Generation(number, self._context, self._limits, self._tasks, log, receive)

    async def prepare(self) -> tuple[Prepare, frozenset[str]]:
        """The first frame for her process and the kinds of libraries it needs. Raises GenerationFailed."""
        return await self._briefing.prepare(self._id)

    def started(self, generation: GenerationProcess) -> None:
        """Her process runs: open her web channel, and give the process what waits."""
        self._log.info("persona.running", persona=self._id, generation=generation.number, pid=generation.pid)
        self._hubs.started(self._id)
        for client in self._clients:
            client.attach(self._id, generation)
        self._hubs.signal("Event", "Awake", self._personas.get(self._id), {})

    async def exited(self, *, crashed: bool) -> None:
        """Her process is gone: detach every client, even if one of them fails."""
        async with AsyncExitStack() as stack:
            for client in self._clients:
                stack.push_async_callback(partial(client.detach, self._id, crashed=crashed))
        title = "Process died" if crashed else "Asleep"
        self._hubs.signal("Event", title, self._personas.get(self._id), {})

    async def discard_state(self) -> None:
        """Drop her state in memory; all of it is in the ledger."""
        async with AsyncExitStack() as stack:
            # Called in reverse order: the inbox is dropped first, while it still knows what was in hand.
            stack.callback(self._hubs.resync, self._id)
            stack.push_async_callback(partial(self.exited, crashed=True))
            stack.push_async_callback(self._inbox.drop, self._id)
            await self._tasks.reset()

    async def reload(self) -> None:
        """Read what waits for her back from the ledger. Raises GenerationFailed."""
        try:
            await self._inbox.load(self._id)
        except LedgerError as error:
            raise GenerationFailed(str(error)) from error

    async def gave_up(self, reason: str) -> None:
        """She failed too often: say so, and leave her stopped until somebody acts. Her record does not change."""
        self._hubs.stopped(self._id)
        persona = self._personas.get(self._id)
        if persona is None:
            return
        await self._states.failed(self._id, reason)
        self._log.error("persona.sick", persona=self._id, reason=reason)
        sick = msgspec.structs.replace(persona, status="sick")
        self._hubs.signal("Event", "Persona became sick", sick, {"reason": reason})
