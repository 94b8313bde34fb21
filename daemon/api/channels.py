"""Add, remove and pair channels (the channels seed). Add and remove are config routes, pair is a live-agent route."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from daemon.api.bodies import Body
from daemon.api.errors import json_response
from daemon.api.lifecycle import find_persona
from daemon.channels import GATEWAYS, id_of
from daemon.ledger import ChannelTaken
from daemon.pair import PairingRefused
from daemon.personas import PersonasError
from daemon.state import Daemon, daemon_of
from daemon.supervisor import StartFailed
from proto.messages import channel_id
from proto.records import Channel, Persona
from proto.secrets import Secret

MAX_TOKEN = 512


class Credentials(msgspec.Struct):
    """The token, as its provider gave it."""

    token: Annotated[str, msgspec.Meta(max_length=MAX_TOKEN)]


class AddRequest(msgspec.Struct):
    """The body of add."""

    kind: Annotated[str, msgspec.Meta(max_length=64)]
    credentials: Credentials


class PairRequest(msgspec.Struct):
    """The body of pair."""

    code: Annotated[str, msgspec.Meta(max_length=256)]


ADD_BODY = Body(AddRequest)
PAIR_BODY = Body(PairRequest)


async def add(request: Request) -> Response:
    """``POST /api/persona/{persona_id}/channels``: ask whose token it is, save it, restart her if she runs."""
    daemon = daemon_of(request)
    find_persona(daemon, request)
    asked = await ADD_BODY.read(request)
    kind, token = asked.kind, asked.credentials.token.strip()
    id_ = channel_id(kind, token)
    _refuse_taken(daemon, kind, id_)
    found = await daemon.supervisor.identify(kind, Secret(token))
    if found.reason:
        raise HTTPException(400, f"{kind} validation failed: {found.reason}")
    # Asked anew: the provider took its time, and meanwhile she may have changed or gone.
    persona = find_persona(daemon, request)
    _refuse_taken(daemon, kind, id_)
    try:
        await daemon.ledger.add_channel(persona.id, id_, kind, found.bot_id, found.bot_name, time.time_ns())
    except ChannelTaken as error:
        raise HTTPException(400, f"{kind} validation failed: {_belongs_to(daemon, error.owner)}") from error
    added = Channel(type=kind, name=found.bot_name, credentials={"token": Secret(token)})
    await _save(daemon, msgspec.structs.replace(persona, channels=[*(persona.channels or []), added]))
    await _restart(daemon, persona.id, "Channel added but restart failed")
    daemon.hubs.signal("Event", "Channel added", persona, {"channel": {"type": kind, "name": found.bot_name}})
    return json_response({"kind": kind})


async def remove(request: Request) -> Response:
    """``DELETE .../channels/{channel_name}``: by exact name; a name that is not there is no error (channels seed)."""
    daemon = daemon_of(request)
    persona = find_persona(daemon, request)
    name = request.path_params["channel_name"]
    gone = [channel for channel in persona.channels or [] if channel.name == name]
    if gone:
        kept = [channel for channel in persona.channels or [] if channel.name != name]
        await _save(daemon, msgspec.structs.replace(persona, channels=kept or None))
        await _restart(daemon, persona.id, "Channel removed but restart failed")
        for channel in gone:
            if id_ := id_of(channel):
                await daemon.ledger.remove_channel(persona.id, id_)
        daemon.hubs.signal("Event", "Channel removed", persona, {"name": name})
    return json_response({"removed": name})


async def pair(request: Request) -> Response:
    """``POST /api/persona/{persona_id}/pair``: claim a code; the answer is unmasked, as the seed says."""
    daemon = daemon_of(request)
    code = (await PAIR_BODY.read(request)).code
    persona = daemon.personas.get(request.path_params["persona_id"])
    if persona is None or not daemon.supervisor.running(persona.id):
        raise HTTPException(409, "Persona is not active.")
    try:
        paired, channel = await daemon.pairing.pair(persona, code)
    except PairingRefused as error:
        daemon.hubs.signal("Event", "Pairing failed", persona, {"reason": str(error)})
        raise HTTPException(400, str(error)) from error
    except PersonasError as error:
        raise HTTPException(507, f"The pairing could not be saved: {error} Try the same code again.") from error
    return json_response({"persona": paired, "channel": channel})


def _refuse_taken(daemon: Daemon, kind: str, id_: str) -> None:
    """One token belongs to one channel of one persona: two gateways on it would fight."""
    if kind not in GATEWAYS:
        raise HTTPException(400, f"{kind} validation failed: there is no such kind; use telegram or discord.")
    for persona in daemon.personas.all():
        if any(id_of(channel) == id_ for channel in persona.channels or []):
            raise HTTPException(400, f"{kind} validation failed: {_belongs_to(daemon, persona.id)}")


def _belongs_to(daemon: Daemon, persona_id: str) -> str:
    owner = daemon.personas.get(persona_id)
    return f"this bot already belongs to {owner.name if owner else persona_id}'s channel. Remove that one first."


async def _save(daemon: Daemon, persona: Persona) -> None:
    try:
        await daemon.personas.save(persona)
    except PersonasError as error:
        raise HTTPException(507, str(error)) from error


async def _restart(daemon: Daemon, persona_id: str, failure: str) -> None:
    """Let a running persona's gateways follow her record; it stays saved when that fails (channels seed's 500)."""
    if not daemon.supervisor.running(persona_id):
        return
    try:
        await daemon.supervisor.restart(persona_id)
    except StartFailed as error:
        raise HTTPException(500, f"{failure}: {error}") from error
