"""The intake of messages from channels of the persona API: takes the owner's, and shows strangers a pairing code.

A channel is bound to the provider's account id and to the private chat in which it was paired. Handles are for display
only.
"""

from __future__ import annotations

import asyncio
import itertools
import shlex
from typing import Final

from daemon.channels import pairing_codes
from daemon.channels.bot_commands import BotCommand
from daemon.channels.unneeded_files import remove_unmentioned
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox
from daemon.conversations.worker import Worker
from daemon.ledger import Ledger, StoredChannel
from daemon.personas.channel_records import channel_named, conversation_of
from daemon.personas.personas import Personas
from daemon.runtime.clock import Clock
from proto.gateways import Inbound, Say, chat_of
from proto.messages import Conversation
from proto.records import Channel, Persona

SECOND: Final = 1_000_000_000
CODE_PAUSE: Final = 30.0
"""Seconds before the same account gets another code."""

_CODE: Final = (
    "Hello! I do not know you yet. To connect this chat with me, give personad this code:\n\n{code}\n\n"
    "In a terminal: personad pair {name} {code}\nIt is valid for 10 minutes. What you wrote is kept until then."
)


class OwnerIntake:
    """Commits messages of paired and unpaired channels. Puts each bot command into ``commands`` once."""

    def __init__(
        self,
        ledger: Ledger,
        personas: Personas,
        inbox: Inbox,
        hubs: Hubs,
        commands: asyncio.Queue[BotCommand],
        clock: Clock,
    ) -> None:
        self._commands = commands
        self._ledger = ledger
        self._personas = personas
        self._inbox = inbox
        self._hubs = hubs
        self._clock = clock
        self._codes_given: dict[tuple[str, str, str], float] = {}

    async def take(
        self,
        persona: Persona,
        record: Channel,
        row: StoredChannel | None,
        channel: str,
        worker: Worker,
        items: list[Inbound],
    ) -> None:
        """Commit each message to its conversation. Raises LedgerError, InboxFull."""
        if record.verified_at and row and row.account:
            await self._from_paired(persona.id, record, row, items)
        else:
            await self._from_unpaired(persona, channel, worker, items)

    def forget(self, channel: str) -> None:
        """Forget a channel that is gone: if it is added again, it starts fresh."""
        self._codes_given = {who: at for who, at in self._codes_given.items() if who[1] != channel}

    async def _from_paired(self, persona_id: str, record: Channel, row: StoredChannel, items: list[Inbound]) -> None:
        assert row.chat is not None
        home = (row.account, chat_of(row.chat))
        mine = [item for item in items if item.private and (item.account, chat_of(item.chat)) == home]
        strangers = [item.key for item in items if item not in mine]
        if strangers:
            await self._ledger.strangers(persona_id, row.channel, strangers)
        if not mine:
            return
        self._inbox.require_room(persona_id, len(mine))
        for place, some in itertools.groupby(mine, lambda item: item.chat):
            await self._commit(persona_id, row.channel, conversation_of(record, row.channel, place), list(some))

    async def _commit(self, persona_id: str, channel: str, conversation: Conversation, items: list[Inbound]) -> None:
        """Commit messages of one chat, or of one topic in it."""
        committed = await self._ledger.take(persona_id, channel, conversation, items, self._clock.time_ns())
        if committed.is_stepped:
            self._inbox.stepped(persona_id, conversation)
        self._inbox.admit(persona_id, committed.waiting)
        for command in committed.commands:
            self._commands.put_nowait(BotCommand(persona_id, command, conversation))
        await remove_unmentioned(self._ledger, self._personas, persona_id, committed.unwanted)

    async def _from_unpaired(self, persona: Persona, channel: str, worker: Worker, items: list[Inbound]) -> None:
        private = [item for item in items if item.private]
        if others := [item.key for item in items if not item.private]:
            await self._ledger.strangers(persona.id, channel, others)
        now = self._clock.time_ns()
        await self._ledger.hold(persona.id, channel, [item for item in private if item.command is None], now)
        if await self._paired_meanwhile(persona.id, channel):
            return
        for item in {item.account: item for item in private}.values():
            await self._give_code(persona, channel, worker, item)

    async def _paired_meanwhile(self, persona_id: str, channel: str) -> bool:
        """Whether the owner paired the channel meanwhile; then these messages go to her instead of being held."""
        persona = self._personas.get(persona_id)
        record = channel_named(persona, channel) if persona else None
        row = await self._row(persona_id, channel)
        if record is None or not record.verified_at or row is None or row.chat is None:
            return False
        conversation = conversation_of(record, channel, row.chat)
        self._inbox.admit(persona_id, await self._ledger.release(persona_id, channel, conversation))
        return True

    async def _give_code(self, persona: Persona, channel: str, worker: Worker, item: Inbound) -> None:
        """Show a code on the channel. Only its hash is stored; the code itself is seen only in the chat."""
        now = self._clock.monotonic()
        who = (persona.id, channel, item.account)
        if now - self._codes_given.get(who, -CODE_PAUSE) < CODE_PAUSE:
            return
        self._codes_given = {one: at for one, at in self._codes_given.items() if now - at < CODE_PAUSE}
        self._codes_given[who] = now
        code = pairing_codes.new_code()
        hashed = await pairing_codes.code_hash(persona.id, code)
        wall = self._clock.time_ns()
        expires = wall + int(pairing_codes.LIFETIME * SECOND)
        if not await self._ledger.add_code(
            persona.id, channel, item.account, item.account_name, chat_of(item.chat), hashed, expires, wall
        ):
            await self._ledger.strangers(persona.id, channel, [item.key])
            return
        worker.send(Say(channel, item.chat, _CODE.format(code=code, name=shlex.quote(persona.name))))
        self._hubs.signal("Event", "Pairing channel", persona, {"account": item.account_name})

    async def _row(self, persona_id: str, channel: str) -> StoredChannel | None:
        return next((row for row in await self._ledger.channels(persona_id) if row.channel == channel), None)
