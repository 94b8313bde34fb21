"""Open channels made, changed and removed: her record in config.json and the ledger's row always agree.

These are what the routes of /v1 call; whatever they refuse is a ``ChannelRefused``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from daemon.conversations.terms import DEFAULT_FALLBACK
from daemon.ledger import ChannelFields, ChannelTaken, ChannelUnknown, OpenChannel
from daemon.personas.channel_records import id_of
from daemon.personas.personas import PersonasError
from daemon.startup.daemon import Daemon
from daemon.supervision.supervisor import StartFailed
from proto.gateways import GatewayType, Identified, channel_id
from proto.records import Channel, Persona
from proto.secrets import Secret

__all__ = [
    "DEFAULT_FALLBACK",
    "ChannelRefused",
    "NewChannel",
    "create",
    "delete",
    "identify",
    "pause",
    "resume",
    "update",
]

NO_CREDENTIALS: Final[Mapping[str, Secret]] = {}


class ChannelRefused(Exception):
    """Nothing was changed; the text says why. ``status`` is the HTTP status that fits."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class NewChannel(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel is made of. ``token`` is its bot's; None where the account has it, or the phone number serves."""

    persona: str
    type: GatewayType
    fields: ChannelFields
    token: Secret | None = None


async def identify(daemon: Daemon, new: NewChannel) -> Identified:
    """Ask the provider whose credentials these are. Raises ChannelRefused: 404, 409 and 422."""
    _persona(daemon, new.persona)
    token, credentials = _credentials(daemon, new)
    if new.type != "slack":
        _refuse_taken(daemon, channel_id(new.type, token.reveal()))
    found = await daemon.supervisor.identify(new.type, token, new.fields.phone or "", credentials)
    if found.reason:
        raise ChannelRefused(422, found.reason)
    return found


async def create(daemon: Daemon, new: NewChannel) -> OpenChannel:
    """Ask the provider, keep the channel, and let her open it if she runs.

    It stays when her restart fails, and says so. Raises ChannelRefused: 404, 409, 422 and 507.
    """
    found = await identify(daemon, new)
    # An account's token may change, its bot does not; a phone number is its own.
    token = Secret(found.bot_id) if new.type == "slack" else _credentials(daemon, new)[0]
    id_, at = channel_id(new.type, token.reveal()), time.time_ns()
    async with daemon.channels.editing:
        # Asked anew: the provider took its time, and meanwhile she may have changed or gone.
        persona = _persona(daemon, new.persona)
        _refuse_taken(daemon, id_)
        await _add(daemon, persona, id_, new, found, at)
        record = Channel(
            new.type, new.fields.name, {"token": token}, datetime.now().astimezone().isoformat("T", "milliseconds")
        )
        try:
            await _save(daemon, persona, [*(persona.channels or []), record])
        except ChannelRefused:
            await daemon.channels.closed(persona.id, id_)
            raise
        await daemon.terms.refresh(id_)
    await _restart(daemon, persona.id, id_)
    _announce(daemon, persona, "Channel added", record)
    return await _found(daemon, id_)


async def update(daemon: Daemon, channel: str, fields: ChannelFields) -> OpenChannel:
    """Replace what its operator set; only another account makes her open her gateways anew.

    Raises ChannelRefused: 404, 409 for a paired channel or another phone number, and 507.
    """
    async with daemon.channels.editing:
        row = await _open_row(daemon, channel)
        if fields.phone != row.fields.phone:
            raise ChannelRefused(409, "A channel keeps its phone number: make another channel for another number.")
        persona = _persona(daemon, row.persona)
        if fields.name != row.fields.name:
            records = [
                msgspec.structs.replace(record, name=fields.name) if id_of(record) == channel else record
                for record in persona.channels or []
            ]
            await _save(daemon, persona, records)
        await daemon.ledger.update_open_channel(channel, fields, time.time_ns())
        await daemon.terms.refresh(channel)
    if fields.account != row.fields.account:
        await _restart(daemon, row.persona, channel)
    return await _found(daemon, channel)


async def pause(daemon: Daemon, channel: str) -> OpenChannel:
    """Make no turns of its words, which are kept, until it is resumed. Raises ChannelRefused: 404."""
    return await _set_paused(daemon, channel, paused=True)


async def resume(daemon: Daemon, channel: str) -> OpenChannel:
    """Let her have what came meanwhile; one that its provider refused is tried anew. Raises ChannelRefused: 404."""
    row = await _set_paused(daemon, channel, paused=False)
    states = daemon.supervisor.gateways(row.persona)
    if any((state.channel, state.state) == (channel, "stopped") for state in states):
        await _restart(daemon, row.persona, channel)
    return row


async def delete(daemon: Daemon, channel: str) -> None:
    """Remove the channel, open or paired; what was said on it stays said. Raises ChannelRefused: 404 and 507."""
    async with daemon.channels.editing:
        row = await _found(daemon, channel)
        persona = _persona(daemon, row.persona)
        gone = [record for record in persona.channels or [] if id_of(record) == channel]
        kept = [record for record in persona.channels or [] if id_of(record) != channel]
        if gone:
            await _save(daemon, persona, kept)
    try:
        await _restart(daemon, row.persona, channel)
    finally:
        await daemon.channels.let_go(row.persona)
    for record in gone:
        _announce(daemon, persona, "Channel removed", record)


async def _set_paused(daemon: Daemon, channel: str, paused: bool) -> OpenChannel:
    try:
        await daemon.ledger.pause_channel(channel, paused, time.time_ns())
    except ChannelUnknown as error:
        raise ChannelRefused(404, "There is no channel with this id.") from error
    await daemon.terms.refresh(channel)
    row = await _found(daemon, channel)
    daemon.inbox.pump(row.persona)
    return row


async def _add(daemon: Daemon, persona: Persona, channel: str, new: NewChannel, found: Identified, at: int) -> None:
    """Keep the ledger's row; one that is in nobody's record any more makes room for it."""
    await daemon.channels.settle(persona)
    row = (persona.id, channel, new.type, found.bot_id, found.bot_name, new.fields, at)
    try:
        await daemon.ledger.add_open_channel(*row)
    except ChannelTaken as error:
        if owner := daemon.personas.get(error.owner):
            await daemon.channels.settle(owner)
        try:
            await daemon.ledger.add_open_channel(*row)
        except ChannelTaken:
            raise ChannelRefused(409, _belongs_to(daemon, error.owner)) from error


def _credentials(daemon: Daemon, new: NewChannel) -> tuple[Secret, Mapping[str, Secret]]:
    """What names the channel, and what its provider is asked with. Raises ChannelRefused."""
    account = daemon.accounts.get(new.fields.account)
    if new.fields.account and account is None:
        raise ChannelRefused(422, f"There is no account {new.fields.account}: add [accounts.{new.fields.account}].")
    credentials = account.credentials if account else NO_CREDENTIALS
    token = Secret(new.fields.phone) if new.fields.phone else new.token or credentials.get("bot_token")
    if token is None:
        raise ChannelRefused(422, "The channel needs a bot token, a phone number, or an account that has a token.")
    return token, credentials


def _persona(daemon: Daemon, persona_id: str) -> Persona:
    persona = daemon.personas.get(persona_id)
    if persona is None:
        raise ChannelRefused(404, "There is no persona with this id.")
    return persona


def _refuse_taken(daemon: Daemon, channel: str) -> None:
    for persona in daemon.personas.all():
        if any(id_of(record) == channel for record in persona.channels or []):
            raise ChannelRefused(409, _belongs_to(daemon, persona.id))


def _belongs_to(daemon: Daemon, persona_id: str) -> str:
    owner = daemon.personas.get(persona_id)
    name = owner.name if owner else persona_id
    return f"This bot or number already belongs to a channel of {name}. Remove that one first."


async def _open_row(daemon: Daemon, channel: str) -> OpenChannel:
    row = await _found(daemon, channel)
    if not row.open:
        raise ChannelRefused(409, "This channel is paired with her owner: the persona API has its settings.")
    return row


async def _found(daemon: Daemon, channel: str) -> OpenChannel:
    row = await daemon.ledger.open_channel(channel, time.time_ns())
    if row is None:
        raise ChannelRefused(404, "There is no channel with this id.")
    return row


async def _save(daemon: Daemon, persona: Persona, records: list[Channel]) -> None:
    try:
        await daemon.personas.save(msgspec.structs.replace(persona, channels=records or None))
    except PersonasError as error:
        raise ChannelRefused(507, str(error)) from error


async def _restart(daemon: Daemon, persona_id: str, channel: str) -> None:
    """Let a running persona's gateways follow her record."""
    try:
        await daemon.supervisor.follow(persona_id)
    except StartFailed as error:
        daemon.log.error("persona.restart_failed", persona=persona_id, reason=str(error))
        text = f"Her process did not come up: {error}"
        await daemon.ledger.channel_error(persona_id, channel, text, time.time_ns())


def _announce(daemon: Daemon, persona: Persona, title: str, record: Channel) -> None:
    daemon.hubs.signal("Event", title, persona, {"channel": {"type": record.type, "name": record.name}})
