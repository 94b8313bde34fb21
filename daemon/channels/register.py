"""The register of channels: each is a row of the ledger, and the list in its persona's config.json mirrors the rows.

A row holds the claim on a bot, the pairing, the terms and the counters. The list holds the token and what a person
reads and edits: type, name and whether it is paired. Only the register writes them. Two files cannot be written at the
same instant, so the writes of each change have an order. ``reconcile`` at the next start finishes what a kill between
them left:

==========  =============  =============  ==========================================================================
change      first          second         after a kill between them
==========  =============  =============  ==========================================================================
add, open   row            list           A row that is in no list is removed: the channel was never added. In the
                                          other order the start would take it for one pasted by hand and open it.
remove      list           row            The row is removed: the channel is gone. The row goes last because it keeps
                                          the bot from others until the old process has closed its gateway.
pair        row            list           A row that is paired but not verified in the list is unpaired: the pairing
                                          was not confirmed to the owner, and the same code is still valid.
rename      row            list           The row remembers the old name (``mirror_name``). A list with the old name
                                          gets the new one. Any other name was edited by hand and stays.
create      rows           config.json    Rows without a persona are removed.
new token   list           row            The row's claim on the token follows the list.
by hand     list           row            The row follows the list, as without the kill.
==========  =============  =============  ==========================================================================

If the second write fails, the first is undone and the caller is told that nothing was changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NamedTuple

import msgspec

from daemon.channels.channel_list import listed_ids, mirror_of, renamed
from daemon.channels.errors import ChannelRefused, taken
from daemon.channels.new_channel import NewChannel
from daemon.channels.owner_intake import OwnerIntake
from daemon.channels.unneeded_files import remove_erased
from daemon.conversations.inbox import Inbox
from daemon.conversations.terms import ChannelTerms
from daemon.ledger import (
    ChannelFields,
    ChannelTaken,
    ChannelUnknown,
    Ledger,
    LedgerError,
    OpenChannel,
    PendingPairing,
    ReadBack,
    Waiting,
)
from daemon.logging.log import Log
from daemon.personas.channel_records import ID, channel_named, conversation_of
from daemon.personas.personas import Personas, PersonasError
from daemon.runtime.clock import Clock
from proto.records import Channel, Persona
from proto.secrets import Secret


class Owner(NamedTuple):
    """The persona that has a bot. ``keeps`` is False when the channel is no longer in her list, so its row may go."""

    persona: str
    name: str
    keeps: bool
    channel: str


class ChannelRegister:
    """The only writer of channels, both rows and lists. It knows no process; see ``ChannelService`` for those."""

    def __init__(
        self,
        ledger: Ledger,
        personas: Personas,
        terms: ChannelTerms,
        inbox: Inbox,
        owner_intake: OwnerIntake,
        clock: Clock,
        log: Log,
    ) -> None:
        self._ledger = ledger
        self._personas = personas
        self._terms = terms
        self._inbox = inbox
        self._owner_intake = owner_intake
        self._clock = clock
        self._log = log
        self._editing = asyncio.Lock()
        """Held while a row and its list may differ."""

    async def reconcile(self) -> None:
        """Finish what the last daemon left half done, and read the terms. No persona runs yet. Raises LedgerError."""
        known = {persona.id for persona in self._personas.all()} | self._personas.faults().keys()
        for persona_id in set(await self._ledger.channel_owners()) - known:
            await self._remove_rows(persona_id, [row.channel for row in await self._ledger.channels(persona_id)])
        for persona in self._personas.all():
            await self.read_back(persona.id)
            await self.remove_unlisted(persona.id)
            await self._release_words(persona.id)

    async def read_back(self, persona_id: str) -> ReadBack:
        """Update her rows from her list. Other rows stay until ``remove_unlisted``. Raises LedgerError."""
        async with self._editing:
            return await self._read_back(persona_id)

    async def prepare(self, persona_id: str) -> ReadBack:
        """As ``read_back``, before a process opens her gateways. Messages held for a pairing go to her inbox."""
        found = await self.read_back(persona_id)
        self._inbox.admit(persona_id, await self._release_words(persona_id))
        return found

    async def owner(self, channel: str, type_: str = "", bot_id: str = "") -> Owner | None:
        """The persona that has this channel or another one of this bot, or None. Raises LedgerError."""
        holder = await self._ledger.holder(channel, type_, bot_id)
        if holder is None:
            return None
        persona = self._personas.get(holder.persona)
        if persona is None:
            # A record that cannot be read may still have the channel.
            keeps = holder.persona in self._personas.faults()
            return Owner(holder.persona, holder.persona, keeps, holder.channel)
        keeps = channel_named(persona, holder.channel) is not None
        return Owner(persona.id, persona.name, keeps, holder.channel)

    async def add(self, persona_id: str, new: NewChannel) -> Persona:
        """Add a channel to her list, and return her new record. Raises ChannelRefused (404, 409, 507), LedgerError."""
        async with self._editing:
            persona = self._require(persona_id)
            await self._claim(persona.id, new)
            try:
                changed = await self._save(persona, [*(persona.channels or []), new.record()])
            except ChannelRefused:
                await self._take_back(self._remove_rows(persona.id, [new.channel]), persona.id)
                raise
            await self._terms.refresh(new.channel)
            return changed

    async def renew(self, channel: str, new: NewChannel) -> Persona:
        """Give a channel a new token of the same bot; nothing else of it changes. Returns her new record.

        The list is written first. After a kill before the row has the new claim, the next ``read_back`` writes it.
        Raises ChannelRefused (404, 507), LedgerError.
        """
        async with self._editing:
            persona = self._require((await self.row(channel)).persona)
            record = channel_named(persona, channel)
            if record is None:
                raise _unknown()
            credentials = {**record.credentials, "token": new.token, ID: Secret(channel)}
            renewed = msgspec.structs.replace(record, credentials=credentials)
            records = [renewed if one is record else one for one in persona.channels or []]
            changed = await self._save(persona, records)
            await self._read_back(persona.id)
            return changed

    async def create(self, persona: Persona, channels: Sequence[NewChannel]) -> None:
        """Create a persona with these channels. When that is refused, nothing of her stays.

        Raises ChannelRefused (409), PersonasError, LedgerError.
        """
        async with self._editing:
            try:
                for new in channels:
                    await self._claim(persona.id, new)
                persona.channels = [new.record() for new in channels] or None
                await self._personas.create(persona)
            except (ChannelRefused, PersonasError, LedgerError):
                await self._take_back(self._ledger.forget(persona.id), persona.id)
                raise
            await self._terms.load(persona.id)

    async def bring_back(
        self, persona: Persona, channels: Sequence[NewChannel], write: Callable[[Persona], Awaitable[None]]
    ) -> list[tuple[NewChannel, ChannelRefused]]:
        """Have ``write`` put a restored persona in place with the channels that are free.

        Returns the other channels. When ``write`` raises, the caller must forget her. Raises LedgerError.
        """
        kept: list[Channel] = []
        refused: list[tuple[NewChannel, ChannelRefused]] = []
        async with self._editing:
            for new in channels:
                try:
                    await self._claim(persona.id, new)
                except ChannelRefused as error:
                    refused.append((new, error))
                else:
                    kept.append(new.record())
            persona.channels = kept or None
            await write(persona)
            await self._terms.load(persona.id)
        return refused

    async def change_record(self, persona_id: str, change: Callable[[Persona], Persona]) -> Persona | None:
        """Apply ``change`` to her current record and save it; its channels stay. None when there is no such persona.

        Raises PersonasError.
        """
        async with self._editing:
            persona = self._personas.get(persona_id)
            if persona is None:
                return None
            changed = msgspec.structs.replace(change(persona), channels=persona.channels)
            await self._personas.save(changed)
            return changed

    async def update(self, channel: str, fields: ChannelFields) -> tuple[OpenChannel, OpenChannel]:
        """Replace an open channel's settings; returns its row before and after.

        Raises ChannelRefused (404, 409, 507), LedgerError.
        """
        async with self._editing:
            row = await self.row(channel)
            if not row.open:
                raise ChannelRefused(409, "This channel is paired with her owner: the persona API has its settings.")
            if fields.phone != row.fields.phone:
                raise ChannelRefused(409, "A channel keeps its phone number: make another channel for another number.")
            persona = self._require(row.persona)
            await self._ledger.update_open_channel(channel, fields, self._clock.time_ns())
            if fields.name != row.fields.name:
                await self._rename(persona, row, fields.name)
            await self._terms.refresh(channel)
            return row, await self.row(channel)

    async def set_paused(self, channel: str, *, paused: bool) -> OpenChannel:
        """Store whether the channel's messages have to wait. Raises ChannelRefused (404), LedgerError."""
        try:
            await self._ledger.pause_channel(channel, paused, self._clock.time_ns())
        except ChannelUnknown as error:
            raise _unknown() from error
        await self._terms.refresh(channel)
        row = await self.row(channel)
        self._inbox.pump(row.persona)
        return row

    async def pair(self, persona_id: str, pending: PendingPairing, verified_at: str) -> tuple[Persona, Channel]:
        """Bind her channel to the account that was shown a code; returns the new records.

        Raises ChannelUnknown, PersonasError, LedgerError.
        """
        async with self._editing:
            persona = self._personas.get(persona_id)
            record = channel_named(persona, pending.channel) if persona else None
            if persona is None or record is None:
                raise ChannelUnknown(pending.channel)
            verified = msgspec.structs.replace(record, name=pending.account_name, verified_at=verified_at)
            records = [verified if one is record else one for one in persona.channels or []]
            paired = msgspec.structs.replace(persona, channels=records)
            await self._ledger.bind(persona.id, pending.channel, pending.account, pending.account_name, pending.chat)
            try:
                await self._personas.save(paired)
            except PersonasError:
                await self._take_back(self._read_back(persona.id), persona.id)
                raise
            return paired, verified

    async def unlist(self, persona_id: str, gone: Callable[[Channel], bool]) -> list[Channel]:
        """Take channels that are ``gone`` out of her list, and return them. Their rows stay until ``remove_unlisted``.

        Raises ChannelRefused (404, 507).
        """
        async with self._editing:
            persona = self._require(persona_id)
            records = [record for record in persona.channels or [] if gone(record)]
            if records:
                await self._save(persona, [record for record in persona.channels or [] if not gone(record)])
            return records

    async def remove_unlisted(self, persona_id: str) -> list[str]:
        """Remove the rows that are not in her list, and return their channels. Raises LedgerError.

        No process may still have a gateway for them: their bots are free from now on.
        """
        async with self._editing:
            if persona_id in self._personas.faults() and self._personas.get(persona_id) is None:
                return []
            listed = listed_ids(self._personas.get(persona_id))
            gone = [row.channel for row in await self._ledger.channels(persona_id) if row.channel not in listed]
            await self._remove_rows(persona_id, gone)
            return gone

    def listing(self, channels: Collection[str]) -> list[Persona]:
        """The personas whose lists have one of these channels, pasted there while another persona had it."""
        return [persona for persona in self._personas.all() if not listed_ids(persona).isdisjoint(channels)]

    async def row(self, channel: str) -> OpenChannel:
        """The channel with this id, open or paired. Raises ChannelRefused (404), LedgerError."""
        row = await self._ledger.open_channel(channel, self._clock.time_ns())
        if row is None:
            raise _unknown()
        return row

    def _require(self, persona_id: str) -> Persona:
        persona = self._personas.get(persona_id)
        if persona is None:
            raise ChannelRefused(404, "There is no persona with this id.")
        return persona

    async def _claim(self, persona_id: str, new: NewChannel) -> None:
        """Add the row, which is the claim on the bot. Raises ChannelRefused (409), LedgerError."""
        row = (persona_id, new.channel, new.type, new.bot.bot_id, new.bot.bot_name)
        try:
            if new.fields is None:
                await self._ledger.add_channel(*row, self._clock.time_ns(), new.claim)
            else:
                await self._ledger.add_open_channel(*row, new.fields, self._clock.time_ns(), new.claim)
        except ChannelTaken as error:
            owner = self._personas.get(error.owner)
            raise taken(owner.name if owner else error.owner, new.type) from error

    async def _save(self, persona: Persona, records: list[Channel]) -> Persona:
        changed = msgspec.structs.replace(persona, channels=records or None)
        try:
            await self._personas.save(changed)
        except PersonasError as error:
            raise ChannelRefused(507, str(error)) from error
        return changed

    async def _rename(self, persona: Persona, old: OpenChannel, name: str) -> None:
        """Copy the row's new name into the list."""
        try:
            await self._save(persona, renamed(persona, {old.channel: name}))
        except ChannelRefused:
            undo = self._ledger.update_open_channel(old.channel, old.fields, old.updated_at)
            await self._take_back(undo, persona.id)
            await self._take_back(self._ledger.mirrored(old.channel), persona.id)
            raise
        await self._take_back(self._ledger.mirrored(old.channel), persona.id)

    async def _take_back(self, write: Awaitable[object], persona_id: str) -> None:
        """Undo a write. If the disk does not take that either, the next ``read_back`` does it."""
        try:
            await write
        except LedgerError as error:
            self._log.error("channel.not_kept", persona=persona_id, reason=str(error))

    async def _read_back(self, persona_id: str) -> ReadBack:
        persona = self._personas.get(persona_id)
        if persona is None:
            return ReadBack([], [], {}, {})
        found = await self._ledger.read_back(persona_id, mirror_of(persona), self._clock.time_ns())
        await self._terms.load(persona_id)
        for channel in found.gone:
            # The row stays for a while, but no process gets what waits on the channel.
            self._inbox.drop_channel(persona_id, channel)
        if found.behind:
            try:
                await self._personas.save(msgspec.structs.replace(persona, channels=renamed(persona, found.behind)))
            except PersonasError as error:
                self._log.error("persona.not_saved", persona=persona_id, reason=str(error))
            else:
                for channel in found.behind:
                    await self._ledger.mirrored(channel)
        return found

    async def _release_words(self, persona_id: str) -> list[Waiting]:
        """Release messages that a crash or a full disk left held after a pairing; returns what waits for her."""

        persona = self._personas.get(persona_id)
        released: list[Waiting] = []
        for row in await self._ledger.channels(persona_id):
            record = channel_named(persona, row.channel) if persona else None
            if record and record.verified_at and row.account and row.chat:
                conversation = conversation_of(record, row.channel, row.chat)
                try:
                    released += await self._ledger.release(persona_id, row.channel, conversation)
                except LedgerError as error:
                    # They stay held until her next start; a full disk must not prevent this one.
                    self._log.error("channel.words_kept", persona=persona_id, channel=row.type, reason=str(error))
        return released

    async def _remove_rows(self, persona_id: str, channels: Sequence[str]) -> None:
        """Remove channels: rows, waiting messages, terms and codes. A channel that is added again starts fresh."""
        for channel in channels:
            await self._ledger.remove_channel(persona_id, channel)
            self._inbox.drop_channel(persona_id, channel)
            self._owner_intake.forget(channel)
        if channels:
            await remove_erased(self._ledger, self._personas)


def _unknown() -> ChannelRefused:
    return ChannelRefused(404, "There is no channel with this id.")
