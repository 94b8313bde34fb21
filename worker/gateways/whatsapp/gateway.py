"""WhatsApp by Meta's Cloud API: words come by webhooks only, and answers go by the Graph API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from proto.gateways import Gateway, Inbound, WebhookRequest
from worker.base.log import WorkerLog
from worker.gateways import GatewayLink
from worker.gateways.common.budget import Budget, Pace
from worker.gateways.common.fetching import Fetcher
from worker.gateways.common.gateway import StoppedError, Timing, WebhookedGateway
from worker.gateways.common.media import prefix
from worker.gateways.common.rest import Trouble
from worker.gateways.whatsapp.api import (
    NUMBER_HINT,
    PROVIDER,
    WEBHOOK_HINT,
    Meta,
    headers,
    hosts,
    missing,
    trouble,
)
from worker.gateways.whatsapp.inbound import Letter, read_batch, settle
from worker.gateways.whatsapp.outbound import MetaSender

CHAT_PACE: Final = Pace(rate=1 / 6, burst=10.0)
NUMBER_PACE: Final = Pace(rate=70.0, burst=70.0)
"""One message to a person in six seconds, of which some may be borrowed; 80 a second for a number (Meta)."""

MAX_MOVED: Final = 100


class MetaGateway(WebhookedGateway):
    """One number of a persona's."""

    def __init__(
        self, gateway: Gateway, url: str, media: Path, link: GatewayLink, log: WorkerLog, timing: Timing | None = None
    ) -> None:
        self._meta = Meta(url, gateway.credentials)
        budget = Budget(CHAT_PACE, NUMBER_PACE, asyncio.get_running_loop().time)
        self._sends = MetaSender(self._meta, budget, media, link.send, self.stop, log)
        super().__init__(gateway, self._meta, self._sends, link, log, timing or Timing())
        self._files = Fetcher(PROVIDER, lambda: self._meta.client, headers(gateway.credentials), hosts(url), media)
        self._prefix = prefix(gateway)
        self._moved: dict[str, str] = {}
        self._unread: dict[str, str] = {}

    def unusable(self) -> Trouble | None:
        if found := missing(self.gateway.credentials):
            return found
        if not self.gateway.webhook:
            return Trouble("config", "This daemon has no public address that WhatsApp could call.", WEBHOOK_HINT)
        return None

    def trouble(self, error: Exception) -> Trouble:
        return trouble(error)

    async def exchange(self) -> float:
        """Look at the number: it shows that the token lives."""
        number = await self._meta.number()
        self.identity = (number.digits, number.verified_name or number.display_phone_number)
        if self.gateway.phone and number.digits != self.gateway.phone.removeprefix("+"):
            told = f"The account's phone_number_id is that of {number.display_phone_number}, not {self.gateway.phone}."
            raise StoppedError(Trouble("config", told, NUMBER_HINT))
        return self.timing.check

    async def read(self, webhooks: Sequence[WebhookRequest]) -> list[Inbound]:
        """The messages in these requests; what became of hers is reported at once."""
        letters: list[Letter] = []
        for webhook in webhooks:
            try:
                found = read_batch(webhook.body, self._meta.number_id, self.channel, self._moved, self.log)
            except msgspec.DecodeError as error:
                self.log.error("meta.unreadable", hook=webhook.number, reason=str(error))
                continue
            letters += found.letters
            for receipt in found.receipts:
                self.link.send(receipt)
        while len(self._moved) > MAX_MOVED:
            del self._moved[next(iter(self._moved))]
        self._unread |= {one.inbound.key: one.message_id for one in letters}
        return list(await asyncio.gather(*(self._settled(one) for one in letters)))

    async def committed(self, items: Sequence[Inbound]) -> None:
        """Show the last message of each chat as read: she will perceive it, whatever happens."""
        for item in items:
            if message_id := self._unread.pop(item.key, ""):
                self._sends.heard(item.chat, message_id)
        for chat in {item.chat for item in items}:
            self.start(self._sends.mark_read(chat, typing=False))

    def typing(self, chat: str) -> None:
        """Show that she is thinking."""
        if self._sends.may_type(chat):
            self.start(self._sends.mark_read(chat, typing=True))

    async def _settled(self, one: Letter) -> Inbound:
        wants = self.wants_files_of(one.inbound.account)
        return await settle(one, self._meta, self._files if wants else None, self._prefix)
