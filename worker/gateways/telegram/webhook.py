"""Telegram's other transport: it calls our public address, and the daemon brings us what it verified and kept."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from aiogram import Bot
from aiogram.types import Update

from proto.gateways import Gateway, Inbound, WebhookRequest
from proto.secrets import Secret
from worker.base.backoff import Backoff
from worker.base.log import WorkerLog
from worker.gateways.telegram.session import Trouble, clean

CONNECTIONS: Final = 8
"""That Telegram may hold to the listener at once: one bot of one persona is no more."""

TOGETHER: Final = 50
"""Requests that are read and committed at once."""

RECENT: Final = 600.0
"""Seconds for which a failed call of Telegram's is news."""

SECRET_HINT: Final = (
    "Put 1 to 256 letters, digits, _ or - into the account's webhook_secret_file, and restart personad."
)
REACH_HINT: Final = "See that hooks.public_url leads to personad's listener for webhooks, over HTTPS."

_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{1,256}\Z")


class Webhook:
    """Where Telegram calls for one bot (Bot API, setWebhook)."""

    def __init__(self, gateway: Gateway, kinds: list[str], log: WorkerLog) -> None:
        self._url = gateway.webhook
        self._secret = gateway.credentials.get("webhook_secret", Secret(""))
        self._kinds = kinds
        self._log = log
        self._is_set = False
        self._waiting: deque[WebhookRequest] = deque()
        self._news = asyncio.Event()

    def unusable(self) -> Trouble | None:
        """What is wrong with the secret, before anything is asked."""
        if _SECRET.match(self._secret.reveal()):
            return None
        return Trouble("refused", "The webhook's secret is not one that Telegram takes.", SECRET_HINT)

    def add(self, webhook: WebhookRequest) -> None:
        """Queue a request; the daemon keeps it until it is named as done."""
        self._waiting.append(webhook)
        self._news.set()

    async def exchange(self, bot: Bot) -> Trouble | None:
        """Tell Telegram where to call, and return what it says went wrong of late. Raises PROVIDER_ERRORS."""
        info = await bot.get_webhook_info()
        if not self._is_set or info.url != self._url:
            # Also when the address is the same: the secret may be another one now, which Telegram does not show.
            await bot.set_webhook(
                self._url,
                secret_token=self._secret.reveal(),
                allowed_updates=self._kinds,
                max_connections=CONNECTIONS,
                drop_pending_updates=False,
            )
            self._is_set = True
            return None
        failed = info.last_error_date
        if failed is None or not info.pending_update_count or time.time() - failed.timestamp() > RECENT:
            return None
        reason = clean(info.last_error_message or "it does not say why", self._secret.reveal())
        return Trouble("network", f"Telegram could not call us: {reason}", REACH_HINT)

    async def take(
        self,
        read: Callable[[dict[str, Any]], Update | None],
        items: Callable[[list[Update]], Awaitable[list[Inbound]]],
        committed: Callable[[list[Inbound], Sequence[int]], Awaitable[bool]],
        backoff: Backoff,
    ) -> None:
        """Commit what Telegram brought, in order, for ever; what is not committed is tried again."""
        while True:
            while not self._waiting:
                self._news.clear()
                await self._news.wait()
            batch = list(self._waiting)[:TOGETHER]
            updates = [update for webhook in batch if (update := self._decoded(webhook, read))]
            found = await items(updates)
            while True:
                if await committed(found, [webhook.number for webhook in batch]):
                    break
                await asyncio.sleep(backoff.next())
            for _ in batch:
                self._waiting.popleft()

    def _decoded(self, webhook: WebhookRequest, read: Callable[[dict[str, Any]], Update | None]) -> Update | None:
        try:
            return read(msgspec.json.decode(webhook.body, type=dict[str, Any]))
        except msgspec.DecodeError as error:
            self._log.error("telegram.unreadable", update=str(webhook.number), reason=str(error))
            return None
