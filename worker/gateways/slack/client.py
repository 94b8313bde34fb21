"""slack_sdk's web client as the gateway uses it: one session, no hidden retries."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from proto.secrets import Secret
from worker.base import tls
from worker.gateways.slack.errors import PROVIDER_ERRORS

REQUEST_TIMEOUT: Final = 30
CONNECTIONS: Final = 8
DNS_TTL: Final = 60

NAMES: Final = 1000
"""People whose names are remembered."""


class Client:
    """One app's connection to Slack's web API at ``url``."""

    def __init__(self, url: str, bot_token: Secret) -> None:
        secure = urlsplit(url).scheme == "https"
        connector = aiohttp.TCPConnector(
            ssl=tls.context() if secure else True, limit=CONNECTIONS, ttl_dns_cache=DNS_TTL
        )
        self.session = aiohttp.ClientSession(connector=connector, trust_env=secure)
        # A repetition behind our back could say something twice: every retry is ours.
        self.web = AsyncWebClient(
            token=bot_token.reveal(),
            base_url=url,
            timeout=REQUEST_TIMEOUT,
            session=self.session,
            retry_handlers=[],
        )
        self._names: dict[str, str] = {}

    async def me(self) -> tuple[str, str, str]:
        """Return the bot's user id, its name and its team's name (Slack's documentation, auth.test)."""
        answer = await self.web.auth_test()
        return str(answer.get("user_id") or ""), str(answer.get("user") or ""), str(answer.get("team") or "")

    async def socket_url(self, app_token: Secret) -> str:
        """Return a single-use address for Socket Mode."""
        answer = await self.web.apps_connections_open(app_token=app_token.reveal())
        return str(answer.get("url") or "")

    async def name(self, user: str) -> str:
        """Return what a person is called; their id when Slack does not tell."""
        if user not in self._names:
            try:
                found: Any = (await self.web.users_info(user=user)).get("user") or {}
                profile = found.get("profile") or {}
                name = profile.get("display_name") or profile.get("real_name") or found.get("name") or user
            except PROVIDER_ERRORS:
                # The scope users:read is a convenience: who writes is known by the id.
                return user
            if len(self._names) >= NAMES:
                del self._names[next(iter(self._names))]
            self._names[user] = " ".join(str(name).split())[:128] or user
        return self._names[user]

    async def close(self) -> None:
        """Leave all connections."""
        await self.session.close()
