"""Add, remove and pair channels (the channels seed). Add and remove are config routes, pair is a live-agent route."""

from __future__ import annotations

import time
from typing import Annotated, Final, NamedTuple

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from daemon.api.bodies import Body
from daemon.api.lookup import find_persona
from daemon.channels.pairing import PairingRefused
from daemon.http.answers import json_response
from daemon.ledger import ChannelTaken
from daemon.personas.channel_records import id_of
from daemon.personas.personas import PersonasError
from daemon.startup.daemon import Daemon, daemon_of
from daemon.supervision.supervisor import StartFailed
from proto.gateways import Identified, channel_id
from proto.records import Channel, Persona
from proto.secrets import Secret

MAX_TOKEN: Final = 512


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


ADD_BODY: Final = Body(AddRequest)
PAIR_BODY: Final = Body(PairRequest)


class NewChannel(NamedTuple):
    """A channel whose provider knows its token; ``refused`` begins the words of a refusal."""

    kind: str
    token: Secret
    found: Identified
    refused: str

    def record(self) -> Channel:
        """Its record: unverified, and named by the bot's own handle until it is paired."""
        return Channel(type=self.kind, name=self.found.bot_name, credentials={"token": self.token})


async def add(request: Request) -> Response:
    """``POST /api/persona/{persona_id}/channels``: ask whose token it is, save it, restart her if she runs."""
    daemon = daemon_of(request)
    find_persona(daemon.personas, request)
    asked = await ADD_BODY.read(request)
    new = await identify(daemon, asked.kind, asked.credentials.token, f"{asked.kind} validation failed")
    async with daemon.channels.editing:
        # Asked anew: the provider took its time, and meanwhile she may have changed or gone.
        await keep(daemon, find_persona(daemon.personas, request).id, new)
        persona = find_persona(daemon.personas, request)
        record = new.record()
        await _save(daemon, msgspec.structs.replace(persona, channels=[*(persona.channels or []), record]))
    await _restart(daemon, persona.id, "Channel added but restart failed")
    daemon.hubs.signal("Event", "Channel added", persona, {"channel": {"type": record.type, "name": record.name}})
    return json_response({"kind": record.type})


async def remove(request: Request) -> Response:
    """``DELETE .../channels/{channel_name}``: by exact name; a name that is not there is no error (channels seed)."""
    daemon = daemon_of(request)
    name = request.path_params["channel_name"]
    async with daemon.channels.editing:
        persona = find_persona(daemon.personas, request)
        gone = [channel for channel in persona.channels or [] if channel.name == name]
        kept = [channel for channel in persona.channels or [] if channel.name != name]
        if gone:
            await _save(daemon, msgspec.structs.replace(persona, channels=kept or None))
    if gone:
        try:
            await _restart(daemon, persona.id, "Channel removed but restart failed")
        finally:
            await daemon.channels.let_go(persona.id)
        daemon.hubs.signal("Event", "Channel removed", persona, {"name": name})
    return json_response({"removed": name})


async def pair(request: Request) -> Response:
    """``POST /api/persona/{persona_id}/pair``: claim a code; the answer is unmasked, as the seed says."""
    daemon = daemon_of(request)
    code = (await PAIR_BODY.read(request)).code
    # One at a time, so that a code is claimed once and each wrong one is counted before the next is looked at.
    async with daemon.channels.editing:
        persona = daemon.personas.get(request.path_params["persona_id"])
        if persona is None or not daemon.supervisor.running(persona.id):
            raise HTTPException(409, "Persona is not active.")
        return await _pair(daemon, persona, code)


async def _pair(daemon: Daemon, persona: Persona, code: str) -> Response:
    try:
        paired, channel = await daemon.pairing.pair(persona, code)
    except PairingRefused as error:
        daemon.hubs.signal("Event", "Pairing failed", persona, {"reason": str(error)})
        raise HTTPException(400, str(error)) from error
    except PersonasError as error:
        raise HTTPException(507, f"The pairing could not be saved: {error} Try the same code again.") from error
    return json_response({"persona": paired, "channel": channel})


async def identify(daemon: Daemon, kind: str, token: str, refused: str) -> NewChannel:
    """Ask the provider whose token it is. Raises 400, its text beginning with ``refused``."""
    secret = Secret(token.strip())
    match kind:
        case "telegram" | "discord":
            _refuse_taken(daemon, kind, secret, refused)
            found = await daemon.supervisor.identify(kind, secret)
        case _:
            raise HTTPException(400, f"{refused}: there is no such kind; use telegram or discord.")
    if found.reason:
        raise HTTPException(400, f"{refused}: {found.reason}")
    return NewChannel(kind, secret, found, refused)


async def keep(daemon: Daemon, persona_id: str, new: NewChannel) -> None:
    """Make it her channel in the ledger. Raises 400 when this bot is somebody's already."""
    _refuse_taken(daemon, new.kind, new.token, new.refused)
    id_ = channel_id(new.kind, new.token.reveal())
    row = (persona_id, id_, new.kind, new.found.bot_id, new.found.bot_name, time.time_ns())
    try:
        await daemon.ledger.add_channel(*row)
    except ChannelTaken as error:
        if not await _let_go(daemon, error.owner):
            raise HTTPException(400, f"{new.refused}: {_belongs_to(daemon, error.owner)}") from error
        await daemon.ledger.add_channel(*row)


async def _let_go(daemon: Daemon, owner: str) -> bool:
    """Remove from the ledger what is not in its owner's record any more: an edit by hand, or a save that failed."""
    record = daemon.personas.get(owner)
    hers = {id_of(channel) for channel in record.channels or []} if record else set()
    gone = [row.channel for row in await daemon.ledger.channels(owner) if row.channel not in hers]
    for channel in gone:
        await daemon.channels.closed(owner, channel)
    return bool(gone)


def _refuse_taken(daemon: Daemon, kind: str, token: Secret, refused: str) -> None:
    """One token belongs to one channel of one persona: two gateways on it would fight."""
    id_ = channel_id(kind, token.reveal())
    for persona in daemon.personas.all():
        if any(id_of(channel) == id_ for channel in persona.channels or []):
            raise HTTPException(400, f"{refused}: {_belongs_to(daemon, persona.id)}")


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
    try:
        await daemon.supervisor.follow(persona_id)
    except StartFailed as error:
        raise HTTPException(500, f"{failure}: {error}") from error
