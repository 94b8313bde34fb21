"""What most routes ask first: who is meant, whether she runs, and whether her web channel is open."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request

from daemon.conversations.hubs import Hubs
from daemon.personas.personas import Personas
from daemon.supervision.supervisor import Supervisor
from proto.records import Persona


def find_persona(personas: Personas, request: Request) -> Persona:
    """Return the persona that a path names; raises 404, also for what is no id at all, and says if hers is broken."""
    persona_id = request.path_params["persona_id"]
    persona = personas.get(persona_id)
    if persona is None:
        fault = personas.broken().get(persona_id)
        raise HTTPException(404, f"Persona not found: her record is broken. {fault}" if fault else "Persona not found.")
    return persona


def require_running(supervisor: Supervisor, persona_id: str) -> None:
    """Raise 409 unless she runs."""
    if not supervisor.running(persona_id):
        raise HTTPException(409, "Persona is not active.")


def require_web_channel(supervisor: Supervisor, hubs: Hubs, persona_id: str) -> None:
    """Raise 409 unless she runs, 400 unless her web channel is open."""
    require_running(supervisor, persona_id)
    if not hubs.is_open(persona_id):
        raise HTTPException(400, "Web channel not connected")


def require_room(personas: Personas, limit: int) -> None:
    """Raise 400 when there may be no further persona."""
    if len(personas.all()) >= limit:
        raise HTTPException(400, f"There are {limit} personas already: delete one, or raise limits.personas.")
