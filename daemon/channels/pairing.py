"""Pairing: the owner claims a code, and the channel is bound to the account that was shown it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from daemon.channels import pairing_codes
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox
from daemon.conversations.publisher import Publisher
from daemon.ledger import ChannelUnknown, Ledger, LedgerError
from daemon.logging.log import Log
from daemon.personas.channel_records import channel_named, conversation_of
from daemon.personas.personas import Personas
from proto.gateways import Bound
from proto.records import Channel, Persona

INVALID: Final = "Pairing code is invalid or has expired."
NO_CHANNEL: Final = "The channel associated with this pairing code could not be found."
VERIFIED: Final = "This channel is already verified."


class PairingRefused(ValueError):
    """The channels seed's 400; its text is the detail."""


class Pairing:
    """Checks codes and binds channels; ``tell`` reaches a persona's worker."""

    def __init__(
        self,
        ledger: Ledger,
        personas: Personas,
        inbox: Inbox,
        publisher: Publisher,
        hubs: Hubs,
        tell: Callable[[str, Bound], None],
        log: Log,
    ) -> None:
        self._log = log
        self._tell = tell
        self._ledger = ledger
        self._personas = personas
        self._inbox = inbox
        self._publisher = publisher
        self._hubs = hubs
        self._throttle = pairing_codes.Throttle()

    async def pair(self, persona: Persona, code: str) -> tuple[Persona, Channel]:
        """Bind the channel that showed this code; returns the new records.

        Raises PairingRefused, PersonasError, LedgerError. The code stays good until everything is saved.
        """
        if self._throttle.closed(persona.id):
            raise PairingRefused(INVALID)
        hashed = await pairing_codes.code_hash(persona.id, code)
        pending = await self._ledger.find_code(persona.id, hashed, time.time_ns())
        if pending is None:
            self._throttle.wrong(persona.id)
            raise PairingRefused(INVALID)
        channels = persona.channels or []
        record = channel_named(persona, pending.channel)
        if record is None:
            await self._ledger.drop_code(hashed)
            raise PairingRefused(NO_CHANNEL)
        bound = {row.channel: row.account for row in await self._ledger.channels(persona.id)}
        if record.verified_at and bound.get(pending.channel):
            await self._ledger.drop_code(hashed)
            raise PairingRefused(VERIFIED)
        verified = msgspec.structs.replace(
            record,
            name=pending.account_name,
            verified_at=datetime.now().astimezone().isoformat(timespec="milliseconds"),
        )
        paired = msgspec.structs.replace(persona, channels=[verified if c is record else c for c in channels])
        try:
            await self._ledger.bind(persona.id, pending.channel, pending.account, pending.account_name, pending.chat)
        except ChannelUnknown as error:
            raise PairingRefused(NO_CHANNEL) from error
        await self._personas.save(paired)
        self._tell(persona.id, Bound(pending.channel, pending.account, pending.chat))
        self._throttle.forget(persona.id)
        try:
            await self._connected(paired, verified, pending.channel, pending.chat)
        except LedgerError as error:
            # Paired it is, and says so; ``Channels.recover`` lets her have the words at her next start.
            self._log.error("channel.words_kept", persona=persona.id, channel=record.type, reason=str(error))
        return paired, verified

    def forget(self, persona_id: str) -> None:
        """She is deleted."""
        self._throttle.forget(persona_id)

    async def _connected(self, persona: Persona, channel: Channel, id_: str, chat: str) -> None:
        """Say so on the channel, and let her have the words that asked for the code."""
        conversation = conversation_of(channel, id_, chat)
        words = f"We are connected: from now on I listen to you here, and to nobody else. I am {persona.name}."
        await self._publisher.say(persona.id, conversation, words)
        held = await self._ledger.release(persona.id, id_, conversation)
        self._inbox.admit(persona.id, held)
        self._hubs.signal("Event", "Channel paired", persona, {"channel": {"type": channel.type, "name": channel.name}})
