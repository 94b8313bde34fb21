"""The intake of messages from gateways.

A worker hands over everything that its bots receive. Only the daemon decides who the owner is.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from daemon.channels.owner_intake import OwnerIntake
from daemon.channels.visitor_intake import VisitorIntake
from daemon.channels.webhook_queue import WebhookQueue
from daemon.conversations.inbox import InboxFull
from daemon.conversations.terms import ChannelTerms
from daemon.conversations.worker import Worker
from daemon.ledger import Ledger, LedgerError
from daemon.logging.log import Log
from daemon.personas.channel_records import channel_named
from daemon.personas.personas import Personas
from daemon.runtime.tasks import PersonaTasks
from proto.gateways import Received, Taken

MAX_IN_HAND: Final = 64
"""Batches of one persona that wait for the ledger. Each of her gateways offers one at a time."""


class ChannelIntake:
    """Commits what gateways receive and answers each batch with ``Taken``."""

    def __init__(
        self,
        ledger: Ledger,
        personas: Personas,
        terms: ChannelTerms,
        owner_intake: OwnerIntake,
        visitor_intake: VisitorIntake,
        webhooks: WebhookQueue,
        tasks: PersonaTasks,
        log: Log,
    ) -> None:
        self._ledger = ledger
        self._personas = personas
        self._terms = terms
        self._owner_intake = owner_intake
        self._visitor_intake = visitor_intake
        self._webhooks = webhooks
        self._log = log
        self._tasks = tasks
        self._in_hand: Counter[str] = Counter()

    def received(self, persona_id: str, worker: Worker, message: Received) -> None:
        """Take a batch of messages from one gateway; a worker with too many in hand has to offer it again."""
        if self._in_hand[persona_id] >= MAX_IN_HAND:
            worker.send(Taken(message.request, ok=False))
            return
        self._in_hand[persona_id] += 1
        taking = self._tasks.of(persona_id).start(self._take(persona_id, worker, message))
        taking.add_done_callback(lambda _: self._left(persona_id))

    def _left(self, persona_id: str) -> None:
        self._in_hand[persona_id] -= 1
        if not self._in_hand[persona_id]:
            del self._in_hand[persona_id]

    async def _take(self, persona_id: str, worker: Worker, message: Received) -> None:
        try:
            taken = await self._commit(persona_id, worker, message)
        except (LedgerError, InboxFull) as error:
            self._log.warning("channel.not_taken", persona=persona_id, reason=str(error))
            taken = False
        worker.send(Taken(message.request, taken))

    async def _commit(self, persona_id: str, worker: Worker, message: Received) -> bool:
        """Commit each message to its conversation; False when the channel is no longer hers."""
        persona = self._personas.get(persona_id)
        record = channel_named(persona, message.channel) if persona else None
        if persona is None or record is None:
            return False
        if self._terms.is_open_channel(message.channel):
            await self._visitor_intake.take(persona_id, message)
        else:
            rows = await self._ledger.channels(persona_id)
            row = next((row for row in rows if row.channel == message.channel), None)
            await self._owner_intake.take(persona, record, row, message.channel, worker, message.items)
            await self._webhooks.close(persona_id, message.webhooks)
        await self._webhooks.keep_unread(persona_id, message.channel, message.unread)
        return True
