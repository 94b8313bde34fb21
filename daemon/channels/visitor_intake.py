"""The intake of messages from open channels: anybody may write, and each chat is a conversation of its own."""

from __future__ import annotations

from typing import Final

from daemon.channels.unneeded_files import remove_unmentioned
from daemon.channels.webhook_queue import WebhookQueue
from daemon.conversations.inbox import Inbox
from daemon.conversations.publisher import Publisher
from daemon.ledger import Ledger, SenderLimits
from daemon.personas.personas import Personas
from daemon.runtime.clock import Clock
from daemon.settings.settings import Channels as ChannelSettings
from proto.gateways import Received
from proto.messages import Outgoing

SAID_AT_ONCE: Final = 2
"""Replies to one message in the transaction that takes it: a welcome, and a notice that there are too many."""


class VisitorIntake:
    """Commits visitors' messages and puts them into her inbox."""

    def __init__(
        self,
        settings: ChannelSettings,
        ledger: Ledger,
        personas: Personas,
        inbox: Inbox,
        publisher: Publisher,
        webhooks: WebhookQueue,
        clock: Clock,
    ) -> None:
        self._limits = SenderLimits(settings.sender_per_minute, settings.sender_per_day)
        self._ledger = ledger
        self._personas = personas
        self._inbox = inbox
        self._publisher = publisher
        self._webhooks = webhooks
        self._clock = clock

    async def take(self, persona_id: str, message: Received) -> None:
        """Commit a batch with its webhook requests, and send what is due at once. Raises LedgerError, InboxFull.

        Messages in a group that are not addressed to her are only counted.
        """
        items = [item for item in message.items if item.private]
        if others := [item.key for item in message.items if not item.private]:
            await self._ledger.strangers(persona_id, message.channel, others)
        self._inbox.require_room(persona_id, len(items), message.channel)
        slots = {slot.seq: slot for slot in self._publisher.reserve(persona_id, SAID_AT_ONCE * len(items))}
        try:
            visited = await self._ledger.visit(
                persona_id, message.channel, items, message.webhooks, self._limits, list(slots), self._clock.time_ns()
            )
            for said in visited.said:
                words, place = [Outgoing(said.content)], [slots[said.seq]]
                self._publisher.publish(persona_id, said.conversation, words, place, title="Notified")
        finally:
            for slot in slots.values():
                slot.drop()
        for conversation in visited.stepped:
            self._inbox.stepped(persona_id, conversation)
        self._inbox.admit(persona_id, visited.waiting, visitors=True)
        self._webhooks.done(persona_id, message.webhooks)
        await remove_unmentioned(self._ledger, self._personas, persona_id, visited.unwanted)
