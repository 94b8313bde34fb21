"""Pairing: the owner claims a code, and the channel is bound to the account that was shown that code."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

from daemon.channels import pairing_codes
from daemon.channels.errors import ChannelRefused
from daemon.channels.processes import Processes
from daemon.channels.register import ChannelRegister
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox
from daemon.conversations.publisher import Publisher
from daemon.ledger import ChannelUnknown, Ledger, LedgerError
from daemon.logging.log import Log
from daemon.personas.channel_records import channel_named, conversation_of
from daemon.personas.personas import Personas, PersonasError
from daemon.runtime.clock import Clock
from proto.gateways import Bound
from proto.records import Channel, Persona

NOT_ACTIVE: Final = "Persona is not active."
INVALID: Final = "Pairing code is invalid or has expired."
NO_CHANNEL: Final = "The channel associated with this pairing code could not be found."
VERIFIED: Final = "This channel is already verified."


class Pairing:
    """Checks codes one at a time: a code is claimed once, and each wrong code counts before the next is checked."""

    def __init__(
        self,
        *,
        register: ChannelRegister,
        ledger: Ledger,
        personas: Personas,
        inbox: Inbox,
        publisher: Publisher,
        hubs: Hubs,
        processes: Processes,
        clock: Clock,
        log: Log,
    ) -> None:
        self._register = register
        self._ledger = ledger
        self._personas = personas
        self._inbox = inbox
        self._publisher = publisher
        self._hubs = hubs
        self._processes = processes
        self._clock = clock
        self._log = log
        self._throttle = pairing_codes.Throttle(clock)
        self._claiming = asyncio.Lock()

    async def pair(self, persona_id: str, code: str) -> tuple[Persona, Channel]:
        """Bind the channel that showed this code; returns the new records.

        Raises ChannelRefused (400 and 409 with the texts that the API documents, 507) and LedgerError. The code stays
        valid until everything is saved.
        """
        async with self._claiming:
            persona = self._personas.get(persona_id)
            if persona is None or not self._processes.running(persona_id):
                raise ChannelRefused(409, NOT_ACTIVE)
            try:
                return await self._pair(persona, code)
            except ChannelRefused as error:
                self._hubs.signal("Event", "Pairing failed", persona, {"reason": str(error)})
                raise
            except PersonasError as error:
                text = f"The pairing could not be saved: {error} Try the same code again."
                raise ChannelRefused(507, text) from error

    def forget(self, persona_id: str) -> None:
        """Forget a deleted persona's wrong codes."""
        self._throttle.forget(persona_id)

    async def _pair(self, persona: Persona, code: str) -> tuple[Persona, Channel]:
        if self._throttle.closed(persona.id):
            raise ChannelRefused(400, INVALID)
        hashed = await pairing_codes.code_hash(persona.id, code)
        pending = await self._ledger.find_code(persona.id, hashed, self._clock.time_ns())
        if pending is None:
            self._throttle.wrong(persona.id)
            raise ChannelRefused(400, INVALID)
        record = channel_named(persona, pending.channel)
        if record is None:
            await self._ledger.drop_code(hashed)
            raise ChannelRefused(400, NO_CHANNEL)
        accounts = {row.channel: row.account for row in await self._ledger.channels(persona.id)}
        if record.verified_at and accounts.get(pending.channel):
            await self._ledger.drop_code(hashed)
            raise ChannelRefused(400, VERIFIED)
        verified_at = datetime.now().astimezone().isoformat(timespec="milliseconds")
        try:
            paired, verified = await self._register.pair(persona.id, pending, verified_at)
        except ChannelUnknown as error:
            raise ChannelRefused(400, NO_CHANNEL) from error
        self._processes.send(persona.id, Bound(pending.channel, pending.account, pending.chat))
        self._throttle.forget(persona.id)
        try:
            await self._connected(paired, verified, pending.channel, pending.chat)
        except LedgerError as error:
            # It is paired, and the answer says so. She gets the held messages at her next start.
            self._log.error("channel.words_kept", persona=persona.id, channel=record.type, reason=str(error))
        return paired, verified

    async def _connected(self, persona: Persona, channel: Channel, id_: str, chat: str) -> None:
        """Confirm the pairing on the channel, and give her the messages that were held for it."""
        conversation = conversation_of(channel, id_, chat)
        words = f"We are connected. From now on I listen only to you here. I am {persona.name}."
        await self._publisher.say(persona.id, conversation, words)
        held = await self._ledger.release(persona.id, id_, conversation)
        self._inbox.admit(persona.id, held)
        self._hubs.signal("Event", "Channel paired", persona, {"channel": {"type": channel.type, "name": channel.name}})
