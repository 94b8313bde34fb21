"""Telegram's other transport: it calls our public address, and the daemon brings us what it verified and kept.

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
"""That Telegram may hold to the listener at once; one bot needs no more."""

RECENT: Final = 600.0
"""Seconds for which a failed call of Telegram's is news."""

SECRET_HINT: Final = (
    "Put 1 to 256 letters, digits, _ or - into the account's webhook_secret_file, and restart personad."
)
REACH_HINT: Final = "See that hooks.public_url leads to personad's listener for webhooks, over HTTPS."

_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{1,256}\Z")


class Webhook:
    """Where Telegram calls for one bot."""

    def __init__(self, gateway: Gateway, kinds: list[str]) -> None:
        self._url = gateway.webhook
        self._secret = gateway.credentials.get("webhook_secret", Secret(""))
        self._kinds = kinds
        self._is_set = False

    def unusable(self) -> Trouble | None:
        """What is wrong with the secret, before anything is asked."""
        if _SECRET.match(self._secret.reveal()):
            return None
        return Trouble("config", "The webhook's secret is not one that Telegram takes.", SECRET_HINT)

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
        reason = clean(info.last_error_message or "it does not say why", [self._secret])
        return Trouble("transient", f"Telegram could not call us: {reason}", REACH_HINT)
