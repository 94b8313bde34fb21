"""Messages that were set aside: they are shown in the status, and taken up again or dropped here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.api.bodies import Body
from daemon.api.lookup import find_persona
from daemon.conversations.inbox import Inbox
from daemon.http.answers import json_response
from daemon.ledger import Ledger, SetAside
from daemon.personas.personas import Personas

SHOWN: Final = 20
"""How many of a persona's messages the status shows, the oldest first."""

EXCERPT: Final = 80
"""How many characters of a message the status shows."""


class RetryRequest(msgspec.Struct):
    """Which message: its id, or null for all; ``drop`` closes it without an answer."""

    message: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None
    drop: bool = False


class SetAsideShown(msgspec.Struct):
    """A message that is set aside; ``time`` is ISO 8601 with its offset."""

    id: int
    type: str
    name: str
    content: str
    reason: str
    time: str


async def set_aside(ledger: Ledger, persona_id: str) -> list[SetAsideShown]:
    """Return her messages that are set aside as the status shows them. Raises LedgerError."""
    return [_shown(one) for one in await ledger.set_aside(persona_id, SHOWN)]


class RetryRoutes:
    """The route that takes messages up again or drops them."""

    def __init__(self, *, personas: Personas, ledger: Ledger, inbox: Inbox) -> None:
        self._personas = personas
        self._ledger = ledger
        self._inbox = inbox
        self._body = Body(RetryRequest)

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/persona/{persona_id}/retry", self.retry, methods=["POST"])]

    async def retry(self, request: Request) -> Response:
        """``POST /api/persona/{persona_id}/retry``: the body may be left out, and then means all messages."""
        persona = find_persona(self._personas, request)
        asked = self._body.decode(await request.body() or b"{}", request.scope["headers"])
        if asked.drop:
            ended = await self._ledger.drop_set_aside(persona.id, asked.message)
        else:
            ended = await self._inbox.take_up(persona.id, asked.message)
        if asked.message is not None and not ended:
            raise HTTPException(404, "No message with this id is set aside; GET /api/status lists those that are.")
        return json_response({"status": "dropped" if asked.drop else "retried", "messages": ended})


def _shown(one: SetAside) -> SetAsideShown:
    words = one.content or one.title
    return SetAsideShown(
        id=one.id,
        type=one.conversation.type,
        name=one.conversation.name,
        content=words if len(words) <= EXCERPT else words[: EXCERPT - 1] + "…",
        reason=one.reason,
        time=datetime.fromtimestamp(one.at / 1e9, UTC).astimezone().isoformat(timespec="milliseconds"),
    )
