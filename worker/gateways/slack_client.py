"""slack_sdk's web client as the gateway uses it: one session, no hidden retries, files by their own rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from proto.secrets import Secret
from worker.backoff import Backoff
from worker.gateways.allowance import OVER, Allowance
from worker.gateways.media import NotFetchedError, TooLargeError, store
from worker.gateways.slack_errors import PROVIDER_ERRORS
from worker.organs import tls

REQUEST_TIMEOUT: Final = 30
CONNECTIONS: Final = 8
DNS_TTL: Final = 60

MAX_FILE: Final = 25 * 1024 * 1024
FETCH_TIMEOUT: Final = 60.0
CHUNK: Final = 256 * 1024
TRIES: Final = 3
TOO_LARGE: Final = "it is larger than 25 MB, the limit here"
FILE_DOMAIN: Final = ".slack.com"

NAMES: Final = 1000
"""People whose names are remembered."""


class Client:
    """One app's connection to Slack's web API at ``url``."""

    def __init__(self, url: str, bot_token: Secret) -> None:
        self._token = bot_token
        self._address = urlsplit(url)
        secure = self._address.scheme == "https"
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
        self._allowance = Allowance(asyncio.get_running_loop().time)

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

    async def fetch(self, url: str, size: int, folder: Path, name: str, sender: str) -> None:
        """Put a file there as ``name``; one of this name is the same one from an earlier try.

        Raises NotFetchedError, also when ``sender`` sent too many.
        """
        if size > MAX_FILE:
            raise NotFetchedError(TOO_LARGE)
        if not self._is_slacks(url):
            raise NotFetchedError("its address is not one of Slack's")
        if await asyncio.to_thread((folder / name).is_file):
            return
        if not self._allowance.grants(sender, size):
            raise NotFetchedError(OVER)
        backoff = Backoff(0.5, 5.0)
        for left in range(TRIES - 1, -1, -1):
            try:
                async with asyncio.timeout(FETCH_TIMEOUT):
                    await store(folder, name, self._chunks(url), MAX_FILE)
                return
            except TooLargeError:
                raise NotFetchedError(TOO_LARGE) from None
            except TimeoutError:
                why = "the download took too long"
            except aiohttp.ClientResponseError as error:
                why = f"Slack's file server answers {error.status}"
                if error.status in (401, 403, 404, 410):
                    raise NotFetchedError(f"{why}; the app may lack the scope files:read") from None
            except aiohttp.ClientError as error:
                why = f"the download broke off ({type(error).__name__})"
            except OSError as error:
                raise NotFetchedError(f"it cannot be stored here ({error.strerror})") from None
            if not left:
                raise NotFetchedError(why)
            await asyncio.sleep(backoff.next())

    async def close(self) -> None:
        """Leave all connections."""
        await self.session.close()

    def _is_slacks(self, url: str) -> bool:
        """The token goes along with a download: to Slack's own hosts, or to the one that the operator set."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        if (parts.scheme, parts.netloc) == (self._address.scheme, self._address.netloc):
            return True
        return parts.scheme == "https" and (parts.hostname or "").endswith(FILE_DOMAIN)

    async def _chunks(self, url: str) -> AsyncIterator[bytes]:
        headers = {"Authorization": f"Bearer {self._token.reveal()}"}
        limits = aiohttp.ClientTimeout(total=FETCH_TIMEOUT)
        async with self.session.get(url, headers=headers, timeout=limits, allow_redirects=False) as response:
            # Without the scope Slack answers a page to log in on.
            if response.status != 200 or response.content_type == "text/html":
                status = 403 if response.status == 200 else response.status
                raise aiohttp.ClientResponseError(response.request_info, (), status=status)
            async for chunk in response.content.iter_chunked(CHUNK):
                yield chunk
