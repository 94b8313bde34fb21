"""Telegram's other transport: it calls our public address, and the daemon forwards the updates that it verified.

https://core.telegram.org/bots/api#setwebhook
"""

from __future__ import annotations

import re
import time
from typing import Final

from aiogram import Bot

from proto.gateways import Gateway
from proto.secrets import Secret
from worker.gateways.common.trouble import Trouble, clean

CONNECTIONS: Final = 8
"""Simultaneous connections that Telegram may open to the listener; one bot needs no more."""

RECENT: Final = 600.0
"""Seconds for which a failed call is still reported."""

SECRET_HINT: Final = "Put 1 to 256 letters, digits, _ or - into the account's webhook_secret_file."
REACH_HINT: Final = "Make sure that hooks.public_url leads to personad's webhook listener over HTTPS."

_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{1,256}\Z")


class Webhook:
    """One bot's webhook registration at Telegram."""

    def __init__(self, gateway: Gateway, kinds: list[str]) -> None:
        self._url = gateway.webhook
        self._secret = gateway.credentials.get("webhook_secret", Secret(""))
        self._kinds = kinds
        self._is_set = False

    def unusable(self) -> Trouble | None:
        """Check the secret without a request. Returns what is wrong with it, or None."""
        if _SECRET.match(self._secret.reveal()):
            return None
        return Trouble("config", "Telegram does not accept this webhook secret.", SECRET_HINT)

    async def exchange(self, bot: Bot) -> Trouble | None:
        """Register the webhook, and return the recent trouble that Telegram reports. Raises what PROVIDER_ERRORS lists.

        https://core.telegram.org/bots/api#getwebhookinfo
        """
        info = await bot.get_webhook_info()
        if not self._is_set or info.url != self._url:
            # Registered once per start even if the URL is the same: the secret may have changed, which Telegram does
            # not show.
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
        reason = clean(info.last_error_message or "it does not say why", [self._secret])
        return Trouble("transient", f"Telegram could not call the webhook: {reason}", REACH_HINT)
