"""Every change of a channel, for both APIs and for edits by hand: ask the provider, store, then open or close gateways.

The register writes rows and lists, in the right order; this module adds providers and processes. A bot is free for
another channel only when the process that had its gateway is gone. So a channel always ends in the same three steps:
it leaves the list, the persona's process follows the list, its row is removed.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import msgspec

from daemon.channels.errors import ChannelRefused, taken
from daemon.channels.new_channel import NewChannel, OpenChannelRequest
from daemon.channels.pairing import Pairing
from daemon.channels.processes import Processes
from daemon.channels.register import ChannelRegister
from daemon.conversations.hubs import Hubs
from daemon.conversations.worker import StartFailed
from daemon.ledger import ChannelFields, Ledger, LedgerError, OpenChannel
from daemon.logging.log import Log
from daemon.personas.channel_records import channel_named, id_of
from daemon.personas.personas import Personas
from daemon.runtime.clock import Clock
from daemon.runtime.tasks import PersonaTasks
from daemon.settings.accounts import ReadAccount
from proto.gateways import Identified, channel_id
from proto.records import Channel, Persona
from proto.secrets import Secret


class ChannelService:
    """Adds, opens, changes, pairs, pauses, resumes and removes channels. A refusal is a ``ChannelRefused``.

    A stored change stays when her process cannot be restarted: ``add`` and ``remove`` then raise StartFailed, the
    others record it as the channel's last error. Every method raises LedgerError.
    """

    def __init__(
        self,
        *,
        register: ChannelRegister,
        pairing: Pairing,
        ledger: Ledger,
        personas: Personas,
        processes: Processes,
        accounts: Mapping[str, ReadAccount],
        hubs: Hubs,
        tasks: PersonaTasks,
        clock: Clock,
        log: Log,
    ) -> None:
        self._register = register
        self._pairing = pairing
        self._ledger = ledger
        self._personas = personas
        self._processes = processes
        self._accounts = accounts
        self._hubs = hubs
        self._clock = clock
        self._log = log
        self._tasks = tasks

    async def identify(self, kind: str, token: str) -> NewChannel:
        """Ask the provider whose token this is, for a channel to be paired. Raises ChannelRefused (409, 422)."""
        secret = Secret(token.strip())
        match kind:
            case "telegram" | "discord":
                await self._refuse_taken(kind, secret)
                bot = await self._processes.identify(kind, secret)
            case _:
                raise ChannelRefused(422, "there is no such kind; use telegram or discord.")
        if bot.reason:
            raise ChannelRefused(422, bot.reason)
        return NewChannel(type=kind, token=secret, bot=bot)

    async def add(self, persona_id: str, kind: str, token: str) -> None:
        """Add a channel to be paired. A new token of a bot that she has takes the old one's place; the pairing stays.

        Raises ChannelRefused (404, 409, 422, 507) and StartFailed.
        """
        new = await self.identify(kind, token)
        if channel := await self._hers(persona_id, new):
            persona = await self._register.renew(channel, new)
        else:
            await self._free(new)
            persona = await self._register.add(persona_id, new)
        await self._processes.follow(persona_id)
        self._announce(persona, "Channel added", new.record())

    async def create(self, persona: Persona, channels: Sequence[NewChannel]) -> None:
        """Create a persona with these channels; all or nothing. Raises ChannelRefused (409), PersonasError."""
        for new in channels:
            await self._free(new)
        await self._register.create(persona, channels)

    async def bring_back(
        self, persona: Persona, channels: Sequence[NewChannel], write: Callable[[Persona], Awaitable[None]]
    ) -> list[tuple[NewChannel, ChannelRefused]]:
        """Have ``write`` put a restored persona in place with the channels that are free; returns the others.

        When ``write`` raises, the caller must forget her.
        """
        free: list[NewChannel] = []
        refused: list[tuple[NewChannel, ChannelRefused]] = []
        for new in channels:
            try:
                await self._free(new)
            except ChannelRefused as error:
                refused.append((new, error))
            else:
                free.append(new)
        return refused + await self._register.bring_back(persona, free, write)

    async def open(self, request: OpenChannelRequest) -> OpenChannel:
        """Open a channel on which anybody may write. Raises ChannelRefused (404, 409, 422, 507)."""
        new = await self._identify_open(request)
        await self._free(new)
        persona = await self._register.add(request.persona, new)
        await self._restart(persona.id, new.channel)
        self._announce(persona, "Channel added", new.record())
        return await self._register.row(new.channel)

    async def update(self, channel: str, fields: ChannelFields) -> OpenChannel:
        """Replace an open channel's settings. Her gateways are reopened only if its account changes.

        Raises ChannelRefused (404, 409 for a paired channel or another phone number, 507).
        """
        old, new = await self._register.update(channel, fields)
        if fields.account == old.fields.account:
            return new
        await self._restart(new.persona, channel)
        return await self._register.row(channel)

    async def renew(self, channel: str, token: Secret) -> OpenChannel:
        """Give an open channel a new token of its bot. Raises ChannelRefused (404, 409, 422, 507)."""
        row = await self._register.row(channel)
        await self._refuse_taken(row.type, token)
        bot = await self._processes.identify(row.type, token)
        if bot.reason:
            raise ChannelRefused(422, bot.reason)
        if bot.bot_id != row.bot_id:
            raise ChannelRefused(409, "This token belongs to another bot: delete this channel and create another.")
        await self._register.renew(channel, NewChannel(type=row.type, token=token, bot=bot))
        await self._restart(row.persona, channel)
        return await self._register.row(channel)

    async def pair(self, persona_id: str, code: str) -> tuple[Persona, Channel]:
        """Bind the channel that showed this code to its account. Raises ChannelRefused (400, 409, 507)."""
        return await self._pairing.pair(persona_id, code)

    async def pause(self, channel: str) -> OpenChannel:
        """Keep messages on this channel unanswered until it is resumed. Raises ChannelRefused (404)."""
        return await self._register.set_paused(channel, paused=True)

    async def resume(self, channel: str) -> OpenChannel:
        """Answer what was written meanwhile. A channel that its provider refused is tried again.

        Raises ChannelRefused (404).
        """
        row = await self._register.set_paused(channel, paused=False)
        states = self._processes.gateways(row.persona)
        if any((state.channel, state.state) == (channel, "stopped") for state in states):
            await self._restart(row.persona, channel)
        return row

    async def remove(self, persona_id: str, name: str) -> None:
        """Remove all of her channels with this name, if any. Raises ChannelRefused (404, 507), StartFailed."""
        removed = await self._register.unlist(persona_id, lambda record: record.name == name)
        if removed:
            await self._free_unlisted(persona_id)
            self._hubs.signal("Event", "Channel removed", self._personas.get(persona_id), {"name": name})

    async def delete(self, channel: str) -> None:
        """Remove the channel, open or paired. What visitors said is erased, what her owner said stays in her history.

        Raises ChannelRefused (404, 507).
        """
        row = await self._register.row(channel)
        removed = await self._register.unlist(row.persona, lambda record: id_of(record) == channel)
        try:
            await self._free_unlisted(row.persona)
        except StartFailed as error:
            self._log.error("persona.restart_failed", persona=row.persona, reason=str(error))
        for record in removed:
            self._announce(self._personas.get(row.persona), "Channel removed", record)

    async def ask(self, channel: OpenChannel) -> Identified:
        """Ask the provider now whether the channel's credentials work, and whose they are."""
        persona = self._personas.get(channel.persona)
        record = channel_named(persona, channel.channel) if persona else None
        if record is None:
            return Identified(reason="The persona's config.json does not have this channel: delete it here.")
        name = channel.fields.account
        account = self._accounts.get(name)
        if name and account is None:
            return Identified(reason=f"There is no [accounts.{name}] in personad.toml any more: put it back.")
        credentials = account.credentials if account else {}
        token = credentials.get("bot_token") or record.credentials["token"]
        return await self._processes.identify(channel.type, token, channel.fields.phone or "", credentials)

    async def edited(self, persona: Persona) -> None:
        """Apply an edit of her config.json: her rows follow at once, her process in the background."""
        try:
            await self._register.read_back(persona.id)
        except LedgerError as error:
            self._log.error("channel.not_kept", persona=persona.id, reason=str(error))
        self._tasks.of(persona.id).start_command(self._follow_edit(persona.id))

    async def accounts_changed(self, names: Collection[str]) -> None:
        """Reopen the gateways of all channels that use one of these accounts, in the background."""
        for persona_id in await self._ledger.channel_owners():
            rows = await self._ledger.channels_of(persona_id, self._clock.time_ns())
            if used := [row.channel for row in rows if row.open and row.fields.account in names]:
                self._tasks.of(persona_id).start_command(self._restart(persona_id, used[0]))

    def forget(self, persona_id: str) -> None:
        """Forget a deleted persona."""
        self._pairing.forget(persona_id)

    async def _identify_open(self, request: OpenChannelRequest) -> NewChannel:
        if self._personas.get(request.persona) is None:
            raise ChannelRefused(404, "There is no persona with this id.")
        token, credentials = self._credentials(request)
        if request.type != "slack":
            await self._refuse_taken(request.type, token)
        bot = await self._processes.identify(request.type, token, request.fields.phone or "", credentials)
        if bot.reason:
            raise ChannelRefused(422, bot.reason)
        if request.type == "slack":
            # An account's token may change; its bot stays the same.
            token = Secret(bot.bot_id)
        new = NewChannel(type=request.type, token=token, bot=bot, fields=request.fields)
        if not await self._ledger.is_former_channel(new.claim):
            return new
        # The id of the bot's earlier channel must not lead to this one.
        return msgspec.structs.replace(new, id=secrets.token_hex(8))

    def _credentials(self, request: OpenChannelRequest) -> tuple[Secret, Mapping[str, Secret]]:
        """The token that identifies the channel, and the credentials for its provider. Raises ChannelRefused (422)."""
        fields = request.fields
        account = self._accounts.get(fields.account)
        if fields.account and account is None:
            raise ChannelRefused(422, f"There is no account {fields.account}: add [accounts.{fields.account}].")
        credentials: Mapping[str, Secret] = account.credentials if account else {}
        token = Secret(fields.phone) if fields.phone else request.token or credentials.get("bot_token")
        if token is None:
            raise ChannelRefused(422, "The channel needs a bot token, a phone number, or an account that has a token.")
        return token, credentials

    async def _refuse_taken(self, kind: str, token: Secret) -> None:
        owner = await self._register.owner(channel_id(kind, token.reveal()))
        if owner and owner.keeps:
            raise taken(owner.name, kind)

    async def _hers(self, persona_id: str, new: NewChannel) -> str | None:
        """Return her paired channel that already belongs to this bot, or None."""
        owner = await self._register.owner(new.channel, new.type, new.bot.bot_id)
        if owner is None or owner.persona != persona_id or not owner.keeps:
            return None
        return None if (await self._register.row(owner.channel)).open else owner.channel

    async def _free(self, new: NewChannel) -> None:
        """Free a bot whose channel was removed from its persona's list by hand. Raises ChannelRefused (409)."""
        owner = await self._register.owner(new.channel, new.type, new.bot.bot_id)
        if owner is None:
            return
        if owner.keeps:
            raise taken(owner.name, new.type)
        try:
            await self._free_unlisted(owner.persona)
        except StartFailed as error:
            self._log.error("persona.restart_failed", persona=owner.persona, reason=str(error))

    async def _free_unlisted(self, persona_id: str) -> None:
        """Have her process follow her list, then free the channels that are not in it. Raises StartFailed."""
        await self._free_behind(persona_id, self._processes.follow(persona_id))

    async def _free_behind(self, persona_id: str, following: Awaitable[None]) -> None:
        """Free the channels that are not in her list, once no process has them open any more."""
        try:
            await following
        finally:
            for next_owner in self._register.listing(await self._register.remove_unlisted(persona_id)):
                await self.edited(next_owner)

    async def _restart(self, persona_id: str, channel: str) -> None:
        """Have her process follow her list. If it cannot start, that becomes the channel's last error."""

        try:
            await self._processes.follow(persona_id)
        except StartFailed as error:
            self._log.error("persona.restart_failed", persona=persona_id, reason=str(error))
            text = f"Her process did not come up: {error}"
            await self._ledger.channel_error(persona_id, channel, text, self._clock.time_ns())

    async def _follow_edit(self, persona_id: str) -> None:
        try:
            await self._free_behind(persona_id, self._processes.match_record(persona_id))
        except (StartFailed, LedgerError) as error:
            self._log.error("persona.edit_failed", persona=persona_id, reason=str(error))

    def _announce(self, persona: Persona | None, title: str, record: Channel) -> None:
        self._hubs.signal("Event", title, persona, {"channel": {"type": record.type, "name": record.name}})
