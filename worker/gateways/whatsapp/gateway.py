"""WhatsApp over Meta's Cloud API: messages come by webhook only, and answers go out through the Graph API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from proto.gateways import Gateway as Channel
from proto.gateways import Inbound, Unread, WebhookRequest
from worker.base.log import WorkerLog
from worker.gateways.common import gateway as kernel
from worker.gateways.common.link import GatewayLink
from worker.gateways.common.trouble import Trouble, UnreadableError
from worker.gateways.whatsapp.account import WEBHOOK_HINT, Meta
from worker.gateways.whatsapp.inbound import Draft, Reader, with_file
from worker.gateways.whatsapp.outbound import MetaSender

MAX_MOVED: Final = 100
"""Changed numbers to remember."""


class MetaGateway(kernel.Gateway[Meta, MetaSender, kernel.Timing]):
    """One phone number of a persona."""

    account_type = Meta
    sender_type = MetaSender
    timing_type = kernel.Timing

    def __init__(
        self,
        gateway: Channel,
        url: str,
        media: Path,
        link: GatewayLink,
        log: WorkerLog,
        timing: kernel.Timing | None = None,
    ) -> None:
        super().__init__(gateway, url, media, link, log, timing)
        self._moved: dict[str, str] = {}
        self._reader = Reader(self.account.number_id, self.channel, self._moved, self.log)
        self._unmarked: dict[str, str] = {}

    def unusable(self) -> Trouble | None:
        if not (found := super().unusable()) and not self.gateway.webhook:
            return Trouble("config", "This daemon has no public address for WhatsApp to call.", WEBHOOK_HINT)
        return found

    async def exchange(self) -> float:
        """Ask for the number, which shows that the token is still valid."""
        self.introduce(await self.account.whoami())
        self.up()
        return self.timing.check

    async def read(self, webhooks: Sequence[WebhookRequest]) -> kernel.Reading:
        """Return the messages in these requests. Receipts for her own messages are reported at once."""
        drafts: list[Draft] = []
        unread: list[Unread] = []
        for webhook in webhooks:
            try:
                found = self._reader.read(webhook.body)
            except UnreadableError as error:
                self.log.error("meta.unreadable", webhook=webhook.number, reason=str(error))
                unread.append(Unread(str(error), webhook.number))
                continue
            drafts += found.drafts
            for receipt in found.receipts:
                self.link.send(receipt)
            if found.rest:
                rest = msgspec.json.encode({"entry": found.rest})
                unread.append(Unread(found.reasons[0], webhook.number, body=rest))
        while len(self._moved) > MAX_MOVED:
            del self._moved[next(iter(self._moved))]
        self._unmarked |= {one.inbound.key: one.message_id for one in drafts}
        return kernel.Reading(list(await asyncio.gather(*(with_file(one, self.files) for one in drafts))), unread)

    async def committed(self, items: Sequence[Inbound]) -> None:
        """Mark the last message of each chat as read: it is committed, so she will certainly perceive it."""
        for item in items:
            if message_id := self._unmarked.pop(item.key, ""):
                self.sender.heard(item.chat, message_id)
        for chat in {item.chat for item in items}:
            self.start(self.sender.mark_read(chat))
