"""The supervisor: one keeper per persona, independent of each other (Erlang's one_for_one).

https://www.erlang.org/doc/system/sup_princ.html#restart-strategy
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, Protocol

import msgspec

from daemon.conversations.consolidation import Consolidation
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox
from daemon.conversations.lanes import MindTrouble
from daemon.conversations.worker import StartFailed
from daemon.logging.log import Log
from daemon.personas.personas import Personas
from daemon.runtime.tasks import PersonaTasks
from daemon.supervision.keeper import Keeper, State
from daemon.supervision.lifecycle import GenerationFailed
from daemon.supervision.organ_host import OrganHost
from daemon.supervision.prober import Prober
from daemon.supervision.provisions import kinds_for
from daemon.supervision.spawner import Spawner
from proto.gateways import GatewayState, GatewayType, Identified
from proto.records import EMBEDDED, Organ, Persona, Slot, Status
from proto.secrets import Secret

__all__ = ["PersonaState", "StartFailed", "Supervisor"]


class PersonaState(msgspec.Struct):
    """A persona's state; ``since`` is in epoch seconds."""

    state: State
    generation: int
    pid: int | None
    restarts: int
    reason: str
    since: float
    sick: bool
    mind: Literal["ok", "down"]


class StoppedChannels(Protocol):
    """Is notified when a persona's channels stop working."""

    async def stopped(self, persona_id: str) -> None:
        """Her channels do not answer until she is started."""


class Supervisor:
    """Commands for all personas' processes, and their states."""

    def __init__(
        self,
        personas: Personas,
        hubs: Hubs,
        inbox: Inbox,
        consolidation: Consolidation,
        channels: StoppedChannels,
        spawner: Spawner,
        organ_host: OrganHost,
        prober: Prober,
        new_keeper: Callable[[str], Keeper],
        tasks: PersonaTasks,
        log: Log,
    ) -> None:
        self._personas = personas
        self._hubs = hubs
        self._inbox = inbox
        self._consolidation = consolidation
        self._channels = channels
        self._spawner = spawner
        self._organ_host = organ_host
        self._prober = prober
        self._new_keeper = new_keeper
        self._tasks = tasks
        self._log = log
        self._keepers: dict[str, Keeper] = {}

    @property
    def spawner_mode(self) -> str:
        """How processes are started: ``warming``, ``zygote`` or ``exec``."""
        return self._spawner.mode

    @property
    def organ_host_pid(self) -> int | None:
        """The organ host's pid while it is alive."""
        return self._organ_host.pid

    def boot(self) -> None:
        """Warm the zygote for the minds in use, and start every persona whose status is ``active``."""
        active = [persona for persona in self._personas.all() if persona.status == "active"]
        # The embedded mind's libraries are small, and the first persona usually needs them.
        self._spawner.start(frozenset({EMBEDDED}).union(*(kinds_for(persona) for persona in active)))
        for persona in active:
            self._keeper(persona.id).boot()
        for persona in self._personas.all():
            if persona.status != "active":
                self._tasks.of(persona.id).start(self._channels.stopped(persona.id))

    def running(self, persona_id: str) -> bool:
        """Whether she is wanted running; True also while her process is being replaced."""
        keeper = self._keepers.get(persona_id)
        return keeper is not None and keeper.desired

    def view(self, persona_id: str) -> PersonaState:
        """Her state."""
        view = self._keeper(persona_id).view()
        return PersonaState(
            **msgspec.structs.asdict(view),
            mind="down" if self._inbox.mind_down(persona_id) else "ok",
        )

    async def start(self, persona_id: str) -> bool:
        """Start her and wait until she runs; False when she was running already. Raises StartFailed."""
        return await self._keeper(persona_id).start()

    async def restart(self, persona_id: str) -> None:
        """Replace her process with one that reads her record again. Raises StartFailed."""
        await self._keeper(persona_id).restart()

    async def follow(self, persona_id: str) -> None:
        """Have her process follow her record, unless she is stopped or was stopped meanwhile. Raises StartFailed."""

        if self.running(persona_id):
            await self._keeper(persona_id).restart(if_wanted=True)

    async def match_record(self, persona_id: str) -> None:
        """Make her what her record says: running when it is ``active``, else stopped.

        A process that runs is replaced. Raises StartFailed.
        """
        persona = self._personas.get(persona_id)
        if persona is None:
            return
        if persona.status != "active":
            await self.stop(persona_id)
        elif self.running(persona_id):
            await self.follow(persona_id)
        else:
            self._keeper(persona_id).boot()

    def status_of(self, persona: Persona) -> Status:
        """Her status as people see it: her record's, unless she failed too often."""
        keeper = self._keepers.get(persona.id)
        return "sick" if keeper and keeper.view().sick else persona.status

    async def stop(self, persona_id: str) -> None:
        """End her process and wait until it is gone."""
        await self._end(persona_id, self._keeper(persona_id).stop())
        if not self.running(persona_id):
            await self._channels.stopped(persona_id)

    async def identify(
        self, kind: GatewayType, token: Secret, phone: str = "", credentials: Mapping[str, Secret] | None = None
    ) -> Identified:
        """Have a short-lived process ask the provider whose token this is, or whether a number is the account's."""

        return await self._prober.identify(kind, token, phone, credentials)

    def send(self, persona_id: str, message: msgspec.Struct) -> None:
        """Send a message to her process, if there is one; a later process reads the same from the ledger."""
        if keeper := self._keepers.get(persona_id):
            keeper.send(message)

    def minds_down(self, persona_id: str) -> dict[str, MindTrouble]:
        """Her minds that cannot be reached, by the model's name; "" is her own."""
        return self._inbox.minds_down(persona_id)

    def gateways(self, persona_id: str) -> list[GatewayState]:
        """The states of her gateways that her worker reported last."""
        keeper = self._keepers.get(persona_id)
        return keeper.gateways() if keeper else []

    async def probe(self, organ: Organ, slot: Slot, persona_id: str) -> str:
        """Have a short-lived process try this organ in the role of ``slot``, on account of a persona.

        Returns "" or why it cannot be reached.
        """
        return await self._prober.probe(organ, slot, persona_id)

    async def decided(self, timeout: float) -> None:
        """Wait until every persona's start has succeeded or failed, but at most ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await asyncio.gather(*(keeper.decided() for keeper in self._keepers.values()))
        except TimeoutError:
            self._log.warning("supervisor.undecided", seconds=timeout)

    def forget(self, persona_id: str) -> None:
        """Forget a persona that was stopped and deleted, with everything that waits or runs for her."""
        self._keepers.pop(persona_id, None)
        self._inbox.forget(persona_id)
        self._consolidation.forget(persona_id)
        self._tasks.forget(persona_id)

    async def close(self) -> None:
        """End all processes in parallel."""
        ends = ((persona_id, keeper.close()) for persona_id, keeper in list(self._keepers.items()))
        await asyncio.gather(*(self._end(*end) for end in ends))
        await self._organ_host.close()
        await self._spawner.close()

    async def _end(self, persona_id: str, ending: Awaitable[None]) -> None:
        try:
            await ending
        except GenerationFailed as failure:
            self._log.error("worker.unkillable", persona=persona_id, reason=str(failure))
        self._hubs.stopped(persona_id)

    def _keeper(self, persona_id: str) -> Keeper:
        keeper = self._keepers.get(persona_id)
        if keeper is None:
            keeper = self._keepers[persona_id] = self._new_keeper(persona_id)
        return keeper
