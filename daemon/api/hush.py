"""Hush: stop the answer in hand."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.api.lookup import find_persona, require_running
from daemon.conversations.hushing import HushFailed
from daemon.conversations.inbox import Inbox
from daemon.http.answers import json_response
from daemon.personas.personas import Personas
from daemon.supervision.supervisor import Supervisor


class HushRoutes:
    """The order to stop the answer in hand."""

    def __init__(self, *, personas: Personas, supervisor: Supervisor, inbox: Inbox) -> None:
        self._personas = personas
        self._supervisor = supervisor
        self._inbox = inbox

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/persona/{persona_id}/hush", self.hush, methods=["POST"])]

    async def hush(self, request: Request) -> Response:
        """``POST /api/persona/{persona_id}/hush``: answers when what she had said is in the ledger."""
        persona = find_persona(self._personas, request)
        require_running(self._supervisor, persona.id)
        try:
            hushed = await self._inbox.hush(persona.id)
        except HushFailed as error:
            raise HTTPException(503, str(error)) from error
        return json_response({"status": "hushed" if hushed else "not answering"})
