"""Start, stop, restart and sleep. These change whether she runs, never her ``status``."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from daemon.conversations.consolidation import SleepFailed
from daemon.http.answers import json_response
from daemon.startup.daemon import Daemon, daemon_of
from daemon.supervision.supervisor import StartFailed
from proto.records import Persona


def find_persona(daemon: Daemon, request: Request) -> Persona:
    """Return the persona that a path names; raises 404, also for what is no id at all."""
    persona = daemon.personas.get(request.path_params["persona_id"])
    if persona is None:
        raise HTTPException(404, "Persona not found.")
    return persona


async def start(request: Request) -> Response:
    """``POST /api/persona/{persona_id}/start``: answers when she is ready."""
    daemon = daemon_of(request)
    persona = find_persona(daemon, request)
    try:
        started = await daemon.supervisor.start(persona.id)
    except StartFailed as error:
        raise HTTPException(400, str(error)) from error
    return json_response({"status": "started" if started else "already running"})


async def stop(request: Request) -> Response:
    """``POST /api/persona/{persona_id}/stop``: answers when her process is gone."""
    daemon = daemon_of(request)
    persona_id = request.path_params["persona_id"]
    if not daemon.supervisor.running(persona_id):
        raise HTTPException(404, "Persona is not running.")
    await daemon.supervisor.stop(persona_id)
    return json_response({"status": "stopped"})


async def restart(request: Request) -> Response:
    """``POST /api/persona/{persona_id}/restart``: starts her if she was not running."""
    daemon = daemon_of(request)
    persona = find_persona(daemon, request)
    try:
        await daemon.supervisor.restart(persona.id)
    except StartFailed as error:
        raise HTTPException(400, str(error)) from error
    return json_response({"status": "restarted"})


async def sleep(request: Request) -> Response:
    """``POST /api/persona/{persona_id}/sleep``: fold the talk into what she knows, now."""
    daemon = daemon_of(request)
    persona_id = request.path_params["persona_id"]
    if not daemon.supervisor.running(persona_id):
        raise HTTPException(409, "Persona is not active.")
    try:
        await daemon.consolidation.sleep(persona_id)
    except SleepFailed as error:
        # The documented text has no room for a reason; the log and the signal do.
        daemon.log.warning("persona.sleep_failed", persona=persona_id, reason=str(error))
        daemon.hubs.signal("Event", "Sleep failed", daemon.personas.get(persona_id), {"reason": str(error)})
        raise HTTPException(400, "Sleep failed unexpectedly.") from error
    return json_response(None)
