"""Find the channel of a webhook request, and the credentials that verify its provider."""

from __future__ import annotations

from collections.abc import Mapping

from daemon.conversations.terms import ChannelTerms
from daemon.ledger import Ledger
from daemon.runtime.clock import Clock
from daemon.settings.accounts import ReadAccount
from daemon.webhooks.providers import WebhookChannel


class WebhookChannels:
    """Finds open channels by their id; paired channels have no webhooks."""

    def __init__(self, ledger: Ledger, terms: ChannelTerms, accounts: Mapping[str, ReadAccount], clock: Clock) -> None:
        self._ledger = ledger
        self._terms = terms
        self._accounts = accounts
        self._clock = clock

    async def find(self, channel: str) -> WebhookChannel | None:
        """Return the channel with this id and its account's credentials from the settings. Raises LedgerError."""
        if not self._terms.is_open_channel(channel):
            return None
        row = await self._ledger.open_channel(channel, self._clock.time_ns())
        account = self._accounts.get(row.fields.account) if row else None
        return WebhookChannel(row.persona, row.type, account.credentials) if row and account else None
