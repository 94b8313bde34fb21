"""Add, remove and pair channels (the channels seed). Add and remove are config routes, pair is a live-agent route."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.api.bodies import Body
from daemon.api.lookup import find_persona
from daemon.channels.errors import ChannelRefused
from daemon.channels.service import ChannelService
from daemon.conversations.worker import StartFailed
from daemon.http.answers import json_response, sentence
from daemon.personas.channel_records import PAIRED
from daemon.personas.personas import Personas

MAX_TOKEN: Final = 512

PERSONA: Final = "/api/persona/{persona_id}"


class Credentials(msgspec.Struct):
    """The token, as its provider gave it."""

    token: Annotated[str, msgspec.Meta(max_length=MAX_TOKEN)]


class AddRequest(msgspec.Struct):
    """The body of add."""

    kind: Annotated[str, msgspec.Meta(max_length=64, extra_json_schema={"enum": sorted(PAIRED)})]
    credentials: Credentials


class PairRequest(msgspec.Struct):
    """The body of pair."""

    code: Annotated[str, msgspec.Meta(max_length=256)]


ADD_BODY: Final = Body(AddRequest)
PAIR_BODY: Final = Body(PairRequest)


class ChannelRoutes:
    """The routes of a persona's own channels."""

    def __init__(self, *, personas: Personas, channels: ChannelService) -> None:
        self._personas = personas
        self._channels = channels

    def routes(self) -> list[BaseRoute]:
        return [
            Route(f"{PERSONA}/channels", self.add, methods=["POST"]),
            # A name may hold anything that an account's handle can, also an encoded slash.
            Route(f"{PERSONA}/channels/{{channel_name:path}}", self.remove, methods=["DELETE"]),
            Route(f"{PERSONA}/pair", self.pair, methods=["POST"]),
        ]

    async def add(self, request: Request) -> Response:
        """``POST .../channels``: ask whose token it is, save it, restart her if she runs."""
        persona = find_persona(self._personas, request)
        asked = await ADD_BODY.read(request)
        try:
            await self._channels.add(persona.id, asked.kind, asked.credentials.token)
        except ChannelRefused as error:
            raise refused(error, f"{asked.kind} validation failed") from error
        except StartFailed as error:
            raise HTTPException(500, sentence(f"Channel added but restart failed: {error}")) from error
        return json_response({"kind": asked.kind})

    async def remove(self, request: Request) -> Response:
        """``DELETE .../channels/{channel_name}``: by exact name; a name that is not there is no error."""
        persona, name = find_persona(self._personas, request), request.path_params["channel_name"]
        try:
            await self._channels.remove(persona.id, name)
        except ChannelRefused as error:
            raise refused(error) from error
        except StartFailed as error:
            raise HTTPException(500, sentence(f"Channel removed but restart failed: {error}")) from error
        return json_response({"removed": name})

    async def pair(self, request: Request) -> Response:
        """``POST .../pair``: claim a code; the answer is unmasked, as the seed says."""
        code = (await PAIR_BODY.read(request)).code
        try:
            persona, channel = await self._channels.pair(request.path_params["persona_id"], code)
        except ChannelRefused as error:
            raise HTTPException(error.status, sentence(error)) from error
        return json_response({"persona": persona, "channel": channel})


def refused(error: ChannelRefused, validation_failed: str = "") -> HTTPException:
    """The documented answer: 400, its text beginning with ``validation_failed``, for a token that is of no use here."""
    if error.status == 404:
        return HTTPException(404, "Persona not found.")
    if error.status not in (409, 422):
        return HTTPException(error.status, sentence(error))
    reason = str(error)
    if error.owner:
        reason = f"this bot already belongs to {error.owner}'s channel. Remove that one first."
    return HTTPException(400, sentence(f"{validation_failed}: {reason}"))
