"""Start, stop, restart and sleep. Start and restart make her ``status`` active, stop makes it hibernate."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.api.lookup import find_persona, require_running
from daemon.conversations.consolidation import Consolidation, SleepFailed
from daemon.conversations.hubs import Hubs
from daemon.http.answers import json_response
from daemon.logging.log import Log
from daemon.personas.personas import Personas, PersonasError
from daemon.supervision.commands import Commands
from daemon.supervision.supervisor import StartFailed, Supervisor


class LifecycleRoutes:
    """Start, stop, restart and sleep."""

    def __init__(
        self,
        *,
        personas: Personas,
        supervisor: Supervisor,
        commands: Commands,
        consolidation: Consolidation,
        hubs: Hubs,
        log: Log,
    ) -> None:
        self._personas = personas
        self._supervisor = supervisor
        self._commands = commands
        self._consolidation = consolidation
        self._hubs = hubs
        self._log = log

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/persona/{persona_id}/start", self.start, methods=["POST"]),
            Route("/api/persona/{persona_id}/stop", self.stop, methods=["POST"]),
            Route("/api/persona/{persona_id}/restart", self.restart, methods=["POST"]),
            Route("/api/persona/{persona_id}/sleep", self.sleep, methods=["POST"]),
        ]

    async def start(self, request: Request) -> Response:
        """``POST /api/persona/{persona_id}/start``: answers when she is ready."""
        persona = find_persona(self._personas, request)
        try:
            started = await self._commands.start(persona.id)
        except (StartFailed, PersonasError) as error:
            raise HTTPException(400, str(error)) from error
        return json_response({"status": "started" if started else "already running"})

    async def stop(self, request: Request) -> Response:
        """``POST /api/persona/{persona_id}/stop``: answers when her process is gone."""
        persona_id = request.path_params["persona_id"]
        try:
            stopped = await self._commands.stop(persona_id)
        except PersonasError as error:
            raise HTTPException(400, str(error)) from error
        if not stopped:
            raise HTTPException(404, "Persona is not running.")
        return json_response({"status": "stopped"})

    async def restart(self, request: Request) -> Response:
        """``POST /api/persona/{persona_id}/restart``: starts her if she was not running."""
        persona = find_persona(self._personas, request)
        try:
            await self._commands.restart(persona.id)
        except (StartFailed, PersonasError) as error:
            raise HTTPException(400, str(error)) from error
        return json_response({"status": "restarted"})

    async def sleep(self, request: Request) -> Response:
        """``POST /api/persona/{persona_id}/sleep``: fold the conversation into what she knows, now."""
        persona_id = request.path_params["persona_id"]
        require_running(self._supervisor, persona_id)
        try:
            await self._consolidation.sleep(persona_id)
        except SleepFailed as error:
            # The documented text has no room for a reason; the log and the signal do.
            self._log.warning("persona.sleep_failed", persona=persona_id, reason=str(error))
            self._hubs.signal("Event", "Sleep failed", self._personas.get(persona_id), {"reason": str(error)})
            raise HTTPException(400, "Sleep failed unexpectedly.") from error
        return json_response(None)
