"""One account at a provider: its HTTP session, its secrets, its identity, and what the provider's errors mean."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import ClassVar, Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from proto.gateways import Gateway
from worker.base import proxies, tls
from worker.gateways.common.attachments import Attachment
from worker.gateways.common.trouble import Trouble, clean, passing

CONNECTIONS: Final = 8
"""Simultaneous connections to one provider: a poll or a socket, sends and downloads."""

CONNECT_TIMEOUT: Final = 10.0
REQUEST_TIMEOUT: Final = 30.0
DNS_TTL: Final = 60


class Identity(NamedTuple):
    """Who she is at the provider: the account's id, which never changes, and the name that people see."""

    id: str
    name: str


class Located(NamedTuple):
    """Where a file is. ``size`` is in bytes, None where the provider does not state it."""

    url: str
    size: int | None


class Account(ABC):
    """One provider account, shared by a gateway, its sender, its files and a probe."""

    provider: ClassVar[str]
    """The provider's name as people know it."""

    token_hint: ClassVar[str] = ""
    """The hint for refused credentials while the channel is being added; if empty, the trouble's own hint is used."""

    page_hint: ClassVar[str] = ""
    """What may be missing when the provider serves a login page instead of a file; ends a sentence."""

    def __init__(self, gateway: Gateway, url: str, request_timeout: float = REQUEST_TIMEOUT) -> None:
        """``request_timeout`` limits one request including its whole answer, in seconds."""
        self.url = url.rstrip("/")
        self.exchanged: float | None = None
        """Loop time of the provider's last answer."""
        self.request_timeout = request_timeout
        secrets = [one for name, one in gateway.credentials.items() if not name.endswith("id")]
        # A channel with a phone number has no token: the field holds the number instead, which is no secret.
        self._secrets = secrets if gateway.phone else [gateway.token, *secrets]
        self._client: aiohttp.ClientSession | None = None

    @property
    def client(self) -> aiohttp.ClientSession:
        """The HTTP session. It holds no credentials and connects on demand."""
        if self._client is None or self._client.closed:
            secure = urlsplit(self.url).scheme == "https"
            connector = aiohttp.TCPConnector(
                ssl=tls.context() if secure else True, limit=CONNECTIONS, ttl_dns_cache=DNS_TTL
            )
            self._client = aiohttp.ClientSession(connector=connector, trust_env=secure)
        return self._client

    def unusable(self) -> Trouble | None:
        """Check the credentials without a request. Returns what is wrong with them, or None."""
        return None

    def unreachable(self) -> Trouble | None:
        """Check the way to the provider without a request. Returns what is wrong with it, or None."""
        reason = proxies.unspoken(self.url)
        return Trouble("config", f"{self.provider} cannot be reached: {reason}", proxies.HINT) if reason else None

    @abstractmethod
    async def whoami(self) -> Identity:
        """Ask the provider whose account this is. Raises what PROVIDER_ERRORS lists."""

    async def locate(self, file: Attachment) -> Located:
        """Return where a file is; asks the provider if ``source`` is not a URL. Raises what PROVIDER_ERRORS lists."""
        return Located(file.source, file.size)

    @abstractmethod
    def chunks(self, url: str) -> AsyncIterator[bytes]:
        """Read a file. Raises what PROVIDER_ERRORS lists, and NotFetchedError for a URL on a foreign host."""

    def classify(self, error: Exception) -> Trouble:
        """Say what an error means. Each provider interprets its own error codes here."""
        return passing(self.provider, error)

    def trouble(self, error: Exception) -> Trouble:
        """Say what an error means, with the account's secrets removed from the reason."""
        found = self.classify(error)
        return found._replace(reason=clean(found.reason, self._secrets))

    def answered(self) -> None:
        """Note that the provider has just answered."""
        self.exchanged = asyncio.get_running_loop().time()

    async def close(self) -> None:
        """Close all connections."""
        if self._client:
            await self._client.close()
