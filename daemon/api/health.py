"""Whether the daemon lives, whether it is ready, and how it does: for systemd, monitors and ``personad status``."""

from __future__ import annotations

import asyncio
import os
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from daemon.api.metrics import CONTENT_TYPE, Requests, exposition, resident_bytes
from daemon.channels.health import ChannelHealth, channel_health, dead_letters
from daemon.http.answers import NO_STORE, json_response
from daemon.ledger import Depth, LedgerError
from daemon.startup.daemon import Daemon, daemon_of
from daemon.supervision.processes import private
from proto.records import Persona, Status

LEAST_FREE: Final = 1_048_576
"""Bytes; with less than this the ledger's next commits are about to fail."""


class Check(msgspec.Struct):
    """One condition of readiness; ``reason`` says what is missing, and is empty when nothing is."""

    ok: bool
    reason: str = ""


class PersonaStatus(msgspec.Struct):
    """A persona as ``personad status`` shows her; ``inbox`` and ``poison`` count perceptions.

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
    inbox: int
    poison: int
    mind: str
    memory: int | None
    channels: list[ChannelHealth]


async def livez(_request: Request) -> Response:
    """``GET /livez``: the event loop answers."""
    return json_response({"status": "alive"})


async def readyz(request: Request) -> Response:
    """``GET /readyz``: 200 when all checks hold, else 503, with every check's reason."""
    daemon = daemon_of(request)
    checks = {"ledger": await _ledger(daemon), "spawner": _spawner(daemon), "personas": _personas(daemon)}
    ready = all(check.ok for check in checks.values()) and not daemon.stopping.is_set()
    status = "stopping" if daemon.stopping.is_set() else "ready" if ready else "not ready"
    return json_response({"status": status, "checks": checks}, 200 if ready else 503)


async def status(request: Request) -> Response:
    """``GET /api/status``: the daemon and every persona, in our own JSON."""
    daemon = daemon_of(request)
    depths = await daemon.ledger.depths()
    faults = daemon.personas.faults()
    personas = [
        await _persona_state(daemon, persona, depths.get(persona.id, Depth()), faults.get(persona.id, ""))
        for persona in daemon.personas.all()
    ]
    return json_response(
        {
            "version": daemon_version(),
            "uptime_s": round(time.monotonic() - daemon.started_at, 3),
            "pid": os.getpid(),
            "rss": resident_bytes(),
            "spawner": daemon.supervisor.spawner_mode,
            "organ_host": {"pid": daemon.supervisor.organ_host_pid},
            "sockets": daemon.hubs.sockets,
            "ledger": {"commits": daemon.ledger.commits},
            "personas": personas,
            "dead_letters": await dead_letters(daemon, depths),
        }
    )


async def metrics(request: Request) -> Response:
    """``GET /metrics``: for Prometheus."""
    requests: Requests = request.app.state.requests
    text = await exposition(daemon_of(request), requests)
    return Response(text, headers={**NO_STORE, "content-type": CONTENT_TYPE})


def daemon_version() -> str:
    """The installed version, ``unknown`` in a bare checkout."""
    try:
        return version("personad")
    except PackageNotFoundError:
        return "unknown"


async def _ledger(daemon: Daemon) -> Check:
    try:
        await daemon.ledger.last_seq()
        disk = await asyncio.to_thread(os.statvfs, daemon.settings.state_dir)
    except (LedgerError, OSError) as error:
        return Check(ok=False, reason=str(error))
    if disk.f_flag & os.ST_RDONLY:
        return Check(ok=False, reason=f"{daemon.settings.state_dir} is read-only: make it writable again")
    if disk.f_bavail * disk.f_frsize < LEAST_FREE:
        return Check(ok=False, reason=f"the disk is full: free some space for {daemon.settings.state_dir}")
    return Check(ok=True)


def _spawner(daemon: Daemon) -> Check:
    if daemon.supervisor.spawner_mode == "warming":
        return Check(ok=False, reason="the zygote is warming")
    return Check(ok=True)


def _personas(daemon: Daemon) -> Check:
    """Whoever should run does."""
    late = []
    for persona in daemon.personas.all():
        view = daemon.supervisor.view(persona.id)
        if daemon.supervisor.running(persona.id) and view.state != "running":
            late.append(f"{persona.id} is {view.state}{': ' if view.reason else ''}{view.reason}")
    return Check(not late, "; ".join(late))


async def _persona_state(daemon: Daemon, persona: Persona, depth: Depth, fault: str) -> PersonaStatus:
    view = daemon.supervisor.view(persona.id)
    return PersonaStatus(
        id=persona.id,
        name=persona.name,
        status=persona.status,
        running=daemon.supervisor.running(persona.id),
        state=view.state,
        generation=view.generation,
        pid=view.pid,
        restarts=view.restarts,
        reason=view.reason,
        fault=fault,
        inbox=depth.pending,
        poison=depth.poison,
        mind=view.mind,
        memory=await asyncio.to_thread(private, view.pid) if view.pid else None,
        channels=await channel_health(daemon, persona),
    )
