"""What comes in over gateways: a paired person's words, strangers, first words that get a code, bot commands.

The daemon alone decides who is who. People are numbers: a channel is bound to the provider's account id and the
private chat it was paired in; a handle is only what is shown.
"""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Callable, Coroutine
from typing import Final

from daemon import pairing
from daemon.generation import Generation
from daemon.hubs import Hubs
from daemon.inbox import Inbox, InboxFull
from daemon.ledger import Ledger, LedgerError, StoredChannel, Waiting
from daemon.logs import Log
from daemon.personas import Personas
from proto.gateways import Gateway, GatewayState, Inbound, Received, Say, Taken, channel_id
from proto.messages import Conversation
from proto.records import Channel, Persona

SECOND: Final = 1_000_000_000
CODE_PAUSE: Final = 30.0
"""Seconds before the same account gets another code."""

GATEWAYS: Final = ("telegram", "discord")
"""The kinds of channels that a worker opens gateways for."""

_CODE: Final = (
    "Hello! I do not know you yet. To connect this chat with me, give personad this code:\n\n{code}\n\n"
    "In a terminal: personad pair {name} {code}\nIt is valid for 10 minutes. What you wrote is kept until then."
)


def id_of(channel: Channel) -> str | None:
    """The channel's id inside this daemon; None for one without a token."""
    token = channel.credentials.get("token")
    return channel_id(channel.type, token.reveal()) if token else None


def channel_named(persona: Persona, channel: str) -> Channel | None:
    """The channel of hers that has this id."""
    return next((record for record in persona.channels or [] if id_of(record) == channel), None)


def conversation_of(record: Channel, channel: str, chat: str) -> Conversation:
    """The one talk of a paired channel."""
    return Conversation(record.type, record.name, f"{channel}:{chat}")


class Channels:
    """Commits what gateways receive and answers each with ``Taken``.

    ``command`` is called with a persona's id, a bot command and its conversation, once for each command that the
    paired account gives. ``editing`` is held by whoever changes the channels of a record and of the ledger, which must
    agree.
    """

    def __init__(self, ledger: Ledger, personas: Personas, inbox: Inbox, hubs: Hubs, log: Log) -> None:
        self.command: Callable[[str, str, Conversation], None] = lambda *_: None
        self.editing = asyncio.Lock()
        self._ledger = ledger
        self._personas = personas
        self._inbox = inbox
        self._hubs = hubs
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()
        self._codes_given: dict[tuple[str, str], float] = {}

    async def gateways(self, persona: Persona) -> list[Gateway]:
        """What a worker needs to open her gateways."""
        self._inbox.admit(persona.id, await self.recover(persona))
        stored = {row.channel: row for row in await self._ledger.channels(persona.id)}
        for gone in stored.keys() - {id_of(record) for record in persona.channels or []}:
            # Taken out of config.json by hand: its bot may belong to somebody else now.
            await self.closed(persona.id, gone)
        found = []
        for record in persona.channels or []:
            channel = id_of(record)
            if channel is None or record.type not in GATEWAYS:
                continue
            if channel not in stored and (owner := self._owner_elsewhere(persona, channel)):
                # Two records with one token, edited by hand: two gateways on it would take each other's words.
                self._log.error("channel.taken", persona=persona.id, channel=record.type, owner=owner)
                continue
            row = stored.get(channel)
            bound = row if record.verified_at else None
            found.append(
                Gateway(
                    channel=channel,
                    type="telegram" if record.type == "telegram" else "discord",
                    token=record.credentials["token"],
                    account=bound.account if bound else None,
                    chat=bound.chat if bound else None,
                    last_key=row.last_key if row else None,
                )
            )
        return found

    def _owner_elsewhere(self, persona: Persona, channel: str) -> str:
        """The name of another persona whose record has this channel too, or an empty text."""
        others = (other for other in self._personas.all() if other.id != persona.id)
        return next((other.name for other in others if channel_named(other, channel)), "")

    async def closed(self, persona_id: str, channel: str) -> None:
        """A channel is not hers any more: should it come back, it begins anew. Raises LedgerError."""
        await self._ledger.remove_channel(persona_id, channel)
        self._codes_given = {who: at for who, at in self._codes_given.items() if who[0] != channel}

    def received(self, persona_id: str, generation: Generation, message: Received) -> None:
        """Messages of one gateway."""
        self._go(self._take(persona_id, generation, message))

    def changed(self, persona_id: str, generation: Generation, state: GatewayState) -> None:
        """A gateway's state changed just now."""
        generation.gateways = [state, *(other for other in generation.gateways if other.channel != state.channel)]
        persona = self._personas.get(persona_id)
        record = channel_named(persona, state.channel) if persona else None
        if persona is None or record is None:
            return
        log = self._log.bind(persona=persona_id, channel=record.type, name=record.name)
        if state.error:
            log.warning("gateway.troubled", state=state.state, reason=state.error, hint=state.hint)
        else:
            log.info("gateway.changed", state=state.state)
        details = {"channel": {"type": record.type, "name": record.name}, "state": state.state, "reason": state.error}
        self._hubs.signal("Event", "Gateway changed", persona, details)
        self._go(self._remember(persona_id, record.type, state))

    async def _remember(self, persona_id: str, type_: str, state: GatewayState) -> None:
        """Keep who the bot is, for a channel that was written into config.json by hand, and what went wrong."""
        try:
            if state.bot_id:
                at = time.time_ns()
                await self._ledger.add_channel(persona_id, state.channel, type_, state.bot_id, state.bot_name, at)
            if state.error:
                await self._ledger.channel_error(persona_id, state.channel, state.error, time.time_ns())
        except LedgerError as error:
            self._log.error("channel.not_kept", persona=persona_id, reason=str(error))

    async def recover(self, persona: Persona) -> list[Waiting]:
        """Finish a pairing that was saved when the daemon died or its disk was full: release the words kept for it."""
        released: list[Waiting] = []
        for row in await self._ledger.channels(persona.id):
            record = channel_named(persona, row.channel)
            if record and record.verified_at and row.account and row.chat:
                conversation = conversation_of(record, row.channel, row.chat)
                try:
                    released += await self._ledger.release(persona.id, row.channel, conversation)
                except LedgerError as error:
                    # They stay kept, and come with her next start; a full disk must not keep her from this one.
                    self._log.error("channel.words_kept", persona=persona.id, channel=row.type, reason=str(error))
        return released

    def _go(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel what is not committed: its providers will bring it again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take(self, persona_id: str, generation: Generation, message: Received) -> None:
        try:
            taken = await self._commit(persona_id, generation, message)
        except (LedgerError, InboxFull) as error:
            self._log.warning("channel.not_taken", persona=persona_id, reason=str(error))
            taken = False
        generation.send(Taken(message.request, taken))

    async def _commit(self, persona_id: str, generation: Generation, message: Received) -> bool:
        """Commit each message to where it belongs; False when the channel is not hers any more."""
        persona = self._personas.get(persona_id)
        record = channel_named(persona, message.channel) if persona else None
        if persona is None or record is None:
            return False
        row = await self._row(persona_id, message.channel)
        if record.verified_at and row and row.account:
            await self._from_paired(persona_id, record, row, message.items)
        else:
            await self._from_unpaired(persona, message.channel, generation, message.items)
        return True

    async def _from_paired(self, persona_id: str, record: Channel, row: StoredChannel, items: list[Inbound]) -> None:
        mine = [item for item in items if item.private and (item.account, item.chat) == (row.account, row.chat)]
        strangers = [item.key for item in items if item not in mine]
        if strangers:
            await self._ledger.strangers(persona_id, row.channel, strangers)
        if not mine:
            return
        self._inbox.require_room(persona_id, len(mine))
        assert row.chat is not None
        conversation = conversation_of(record, row.channel, row.chat)
        committed = await self._ledger.take(persona_id, row.channel, conversation, mine, time.time_ns())
        self._inbox.admit(persona_id, committed.waiting)
        for command in committed.commands:
            self.command(persona_id, command, conversation)

    async def _from_unpaired(
        self, persona: Persona, channel: str, generation: Generation, items: list[Inbound]
    ) -> None:
        private = [item for item in items if item.private]
        if others := [item.key for item in items if not item.private]:
            await self._ledger.strangers(persona.id, channel, others)
        now = time.time_ns()
        await self._ledger.hold(persona.id, channel, [item for item in private if item.command is None], now)
        if await self._paired_meanwhile(persona.id, channel):
            return
        for item in {item.account: item for item in private}.values():
            await self._give_code(persona, channel, generation, item)

    async def _paired_meanwhile(self, persona_id: str, channel: str) -> bool:
        """Whether the owner was quicker than these words; they are hers then, not kept for ever."""
        persona = self._personas.get(persona_id)
        record = channel_named(persona, channel) if persona else None
        row = await self._row(persona_id, channel)
        if record is None or not record.verified_at or row is None or row.chat is None:
            return False
        conversation = conversation_of(record, channel, row.chat)
        self._inbox.admit(persona_id, await self._ledger.release(persona_id, channel, conversation))
        return True

    async def _give_code(self, persona: Persona, channel: str, generation: Generation, item: Inbound) -> None:
        """Show a code on the channel; it is kept hashed, and nothing but the chat ever sees it."""
        now = time.monotonic()
        if now - self._codes_given.get((channel, item.account), -CODE_PAUSE) < CODE_PAUSE:
            return
        self._codes_given = {who: at for who, at in self._codes_given.items() if now - at < CODE_PAUSE}
        self._codes_given[channel, item.account] = now
        code = pairing.new_code()
        hashed = await pairing.code_hash(persona.id, code)
        wall = time.time_ns()
        expires = wall + int(pairing.LIFETIME * SECOND)
        if not await self._ledger.add_code(
            persona.id, channel, item.account, item.account_name, item.chat, hashed, expires, wall
        ):
            await self._ledger.strangers(persona.id, channel, [item.key])
            return
        generation.send(Say(channel, item.chat, _CODE.format(code=code, name=shlex.quote(persona.name))))
        self._hubs.signal("Event", "Pairing channel", persona, {"account": item.account_name})

    async def _row(self, persona_id: str, channel: str) -> StoredChannel | None:
        return next((row for row in await self._ledger.channels(persona_id) if row.channel == channel), None)
