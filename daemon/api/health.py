"""Whether the daemon lives, whether it is ready, and how it does: for systemd, monitors and ``personad status``."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.api.metrics import resident_bytes
from daemon.api.retry import SetAsideShown, set_aside
from daemon.channels.health import ChannelHealth, DeadLetterShown, channel_health, dead_letters
from daemon.conversations.hubs import Hubs
from daemon.costs.costs import Costs
from daemon.http.answers import json_response
from daemon.ledger import Depth, Ledger, LedgerError
from daemon.personas.edit_watch import EditWatch
from daemon.personas.instructions import Instructions
from daemon.personas.personas import Personas
from daemon.reminders.rules import local
from daemon.runtime.clock import Clock
from daemon.runtime.tasks import Tasks, describe
from daemon.settings import version
from daemon.settings.accounts import Accounts
from daemon.supervision.processes import private
from daemon.supervision.supervisor import Supervisor
from proto.records import Persona, Status
from proto.zones import machine_zone, zone_of

LEAST_FREE: Final = 1_048_576
"""Bytes; with less than this the ledger's next commits are about to fail."""


class Check(msgspec.Struct):
    """One condition of readiness; ``reason`` says what is missing, or works in part only, and is empty otherwise."""

    ok: bool
    reason: str = ""


class Broken(msgspec.Struct):
    """A record that could not be read once since the start. Nothing else shows this persona."""

    id: str
    fault: str


class PersonaStatus(msgspec.Struct):
    """A persona as ``personad status`` shows her; ``inbox`` and ``poison`` count perceptions.

    They are null, and ``channels`` and ``set_aside`` empty, while the ledger cannot be read.

    ``memory`` is in bytes: what her process has for itself, without what all share with the zygote.
    """

    id: str
    name: str
    status: Status
    running: bool
    state: str
    generation: int
    pid: int | None
    restarts: int
    reason: str
    fault: str
    instructions: list[str]
    """What is wrong with files in her folder of instructions."""
    inbox: int | None
    poison: int | None
    mind: str
    memory: int | None
    channels: list[ChannelHealth]
    set_aside: list[SetAsideShown]
    """The oldest of those that ``poison`` counts."""
    zone: str
    """Her person's time zone."""
    quiet_hours: str
    reminders: int | None
    """How many are to come; null while the ledger cannot be read."""
    next_reminder: str | None
    budgets: list[str] = []
    """Which of her budgets let no call pass now, and until when."""


class Kept(msgspec.Struct):
    """What the ledger tells for the status, by persona."""

    depths: dict[str, Depth]
    channels: dict[str, list[ChannelHealth]]
    set_aside: dict[str, list[SetAsideShown]]
    dead_letters: list[DeadLetterShown]
    reminders: dict[str, tuple[int, int]]


class HealthRoutes:
    """Liveness, readiness and status; ``started_at`` is monotonic seconds."""

    def __init__(
        self,
        *,
        personas: Personas,
        instructions: Instructions,
        edits: EditWatch,
        supervisor: Supervisor,
        costs: Costs,
        ledger: Ledger,
        hubs: Hubs,
        accounts: Accounts,
        state_dir: Path,
        tasks: Tasks,
        started_at: float,
        clock: Clock,
        stopping: asyncio.Event,
    ) -> None:
        self._personas = personas
        self._instructions = instructions
        self._edits = edits
        self._supervisor = supervisor
        self._costs = costs
        self._ledger = ledger
        self._hubs = hubs
        self._accounts = accounts
        self._state_dir = state_dir
        self._tasks = tasks
        self._started_at = started_at
        self._clock = clock
        self._stopping = stopping

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/status", self.status),
            Route("/livez", self.livez),
            Route("/readyz", self.readyz),
        ]

    async def livez(self, _request: Request) -> Response:
        """``GET /livez``: the event loop answers."""
        return json_response({"status": "alive"})

    async def readyz(self, _request: Request) -> Response:
        """``GET /readyz``: 200 when all checks hold, else 503, with every check's reason."""
        checks = {
            "ledger": await self._check_ledger(),
            "spawner": self._check_spawner(),
            "personas": self._check_personas(),
            "accounts": self._check_accounts(),
            "budgets": self._check_budgets(),
            "edits": Check(ok=True, reason=self._edits.fault),
            "tasks": self._check_tasks(),
        }
        ready = all(check.ok for check in checks.values()) and not self._stopping.is_set()
        status = "stopping" if self._stopping.is_set() else "ready" if ready else "not ready"
        return json_response({"status": status, "checks": checks}, 200 if ready else 503)

    async def status(self, _request: Request) -> Response:
        """``GET /api/status``: the daemon and every persona, in our own JSON."""
        kept, fault = None, ""
        try:
            kept = await self._kept()
        except LedgerError as error:
            fault = str(error)
        faults = self._personas.faults()
        personas = [
            await self._persona_status(persona, kept, faults.get(persona.id, "")) for persona in self._personas.all()
        ]
        return json_response(
            {
                "version": version.number(),
                "commit": version.commit() or None,
                "uptime_s": round(self._clock.monotonic() - self._started_at, 3),
                "pid": os.getpid(),
                "rss": resident_bytes(),
                "spawner": self._supervisor.spawner_mode,
                "organ_host": {"pid": self._supervisor.organ_host_pid},
                "sockets": self._hubs.sockets,
                "ledger": {"commits": self._ledger.commits, "fault": fault},
                "personas": personas,
                "edits": self._edits.fault,
                "broken": [Broken(name, fault) for name, fault in self._personas.broken().items()],
                "dead_letters": kept.dead_letters if kept else [],
            }
        )

    async def _check_ledger(self) -> Check:
        try:
            await self._ledger.last_seq()
            disk = await asyncio.to_thread(os.statvfs, self._state_dir)
        except (LedgerError, OSError) as error:
            return Check(ok=False, reason=str(error))
        if self._ledger.broken:
            return Check(ok=False, reason=self._ledger.broken)
        if disk.f_flag & os.ST_RDONLY:
            return Check(ok=False, reason=f"{self._state_dir} is read-only: make it writable again")
        if disk.f_bavail * disk.f_frsize < LEAST_FREE:
            return Check(ok=False, reason=f"the disk is full: free some space for {self._state_dir}")
        return Check(ok=True)

    def _check_spawner(self) -> Check:
        if self._supervisor.spawner_mode == "warming":
            return Check(ok=False, reason="the zygote is warming")
        return Check(ok=True)

    def _check_accounts(self) -> Check:
        """What the settings and the secrets' files hold now can be used; if not, the accounts of before still are."""
        return Check(not self._accounts.fault, self._accounts.fault)

    def _check_tasks(self) -> Check:
        """No task of the daemon itself has failed; after one it leaves, to be started again."""
        fault = self._tasks.fault
        return Check(ok=False, reason=describe(fault.result())) if fault.done() else Check(ok=True)

    def _check_personas(self) -> Check:
        """Each persona that should run does, and each record on the disk could be read."""
        late = list(self._personas.broken().values())
        for persona in self._personas.all():
            view = self._supervisor.view(persona.id)
            if self._supervisor.running(persona.id) and view.state != "running":
                late.append(f"{persona.id} is {view.state}{': ' if view.reason else ''}{view.reason}")
        return Check(not late, "; ".join(late))

    def _check_budgets(self) -> Check:
        """A budget that is used up is as somebody wanted it: it is told, and she is ready."""
        closed = [(persona.id, self._costs.closed(persona.id)) for persona in self._personas.all()]
        return Check(ok=True, reason="; ".join(f"{name}: {' '.join(found)}" for name, found in closed if found))

    async def _kept(self) -> Kept:
        """Raise LedgerError: then nothing of it can be shown."""
        depths, personas = await self._ledger.depths(), self._personas.all()
        return Kept(
            depths,
            {persona.id: await self._channel_health(persona) for persona in personas},
            {
                persona.id: await set_aside(self._ledger, persona.id)
                for persona in personas
                if depths.get(persona.id, Depth()).poison
            },
            await dead_letters(self._ledger, personas, depths),
            await self._ledger.waiting_reminders(),
        )

    async def _channel_health(self, persona: Persona) -> list[ChannelHealth]:
        return await channel_health(
            self._ledger,
            persona,
            self._supervisor.gateways(persona.id),
            self._supervisor.minds_down(persona.id),
            self._clock.time_ns(),
        )

    async def _persona_status(self, persona: Persona, kept: Kept | None, fault: str) -> PersonaStatus:
        depth = kept.depths.get(persona.id, Depth()) if kept else None
        view = self._supervisor.view(persona.id)
        reminders = kept.reminders.get(persona.id) if kept else None
        return PersonaStatus(
            id=persona.id,
            name=persona.name,
            status=self._supervisor.status_of(persona),
            running=self._supervisor.running(persona.id),
            state=view.state,
            generation=view.generation,
            pid=view.pid,
            restarts=view.restarts,
            reason=view.reason,
            fault=fault,
            instructions=[f"{file}: {why}" for file, why in self._instructions.faults(persona.id).items()],
            inbox=depth.pending if depth else None,
            poison=depth.poison if depth else None,
            mind=view.mind,
            memory=await asyncio.to_thread(private, view.pid) if view.pid else None,
            channels=kept.channels.get(persona.id, []) if kept else [],
            set_aside=kept.set_aside.get(persona.id, []) if kept else [],
            zone=persona.zone or machine_zone(),
            quiet_hours=persona.quiet_hours,
            reminders=(reminders[0] if reminders else 0) if kept else None,
            next_reminder=local(reminders[1], zone_of(persona.zone)).isoformat() if reminders else None,
            budgets=self._costs.closed(persona.id),
        )
