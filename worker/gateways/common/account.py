"""One account at a provider: its HTTP session, its secrets, who it is there, and what its errors mean."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import ClassVar, Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from proto.gateways import Gateway
from worker.base import tls
from worker.gateways.common.attachments import Attachment
from worker.gateways.common.trouble import Trouble, clean, passing

CONNECTIONS: Final = 8
"""At once to one provider: a poll or a socket, sends and downloads."""

CONNECT_TIMEOUT: Final = 10.0
REQUEST_TIMEOUT: Final = 30.0
DNS_TTL: Final = 60


class Identity(NamedTuple):
    """Who she is at the provider: its id, which never changes, and the name that people see."""

    id: str
    name: str


class Located(NamedTuple):
    """Where a file is; ``size`` in bytes, None where the provider does not say it."""

    url: str
    size: int | None


class Account(ABC):
    """What a gateway, its sender, its files and a probe share of one provider account."""

    provider: ClassVar[str]
    """The name that people know it by."""

    token_hint: ClassVar[str] = ""
    """What to do about refused credentials while the channel is being added; else the trouble's own hint holds."""

    page_hint: ClassVar[str] = ""
    """What may be missing where the provider gives a page to log in on in place of a file, as a sentence's end."""

    def __init__(self, gateway: Gateway, url: str, request_timeout: float = REQUEST_TIMEOUT) -> None:
        """``request_timeout`` is for one request with its whole answer, in seconds."""
        self.url = url.rstrip("/")
        self.exchanged: float | None = None
        """Loop time of the last answer."""
        self.request_timeout = request_timeout
        secrets = [one for name, one in gateway.credentials.items() if not name.endswith("id")]
        # A channel with a phone number has no token of its own: the number stands in its place.
        self._secrets = secrets if gateway.phone else [gateway.token, *secrets]
        self._client: aiohttp.ClientSession | None = None

    @property
    def client(self) -> aiohttp.ClientSession:
        """The session, which holds no credentials; its connections are made when they are needed."""
        if self._client is None or self._client.closed:
            secure = urlsplit(self.url).scheme == "https"
            connector = aiohttp.TCPConnector(
                ssl=tls.context() if secure else True, limit=CONNECTIONS, ttl_dns_cache=DNS_TTL
            )
            self._client = aiohttp.ClientSession(connector=connector, trust_env=secure)
        return self._client

    def unusable(self) -> Trouble | None:
        """What is wrong with the credentials, before anything is asked."""
        return None

    @abstractmethod
    async def whoami(self) -> Identity:
        """Ask whose account it is. Raises what PROVIDER_ERRORS lists."""

    async def locate(self, file: Attachment) -> Located:
        """Ask where a file is, if its source is not its address. Raises what PROVIDER_ERRORS lists."""
        return Located(file.source, file.size)

    @abstractmethod
    def chunks(self, url: str) -> AsyncIterator[bytes]:
        """Read a file. Raises what PROVIDER_ERRORS lists, and NotFetchedError for an address that is not trusted."""

    def classify(self, error: Exception) -> Trouble:
        """Say what an error means; here stands what the provider's own codes say."""
        return passing(self.provider, error)

    def trouble(self, error: Exception) -> Trouble:
        """Describe an error without the account's secrets."""
        found = self.classify(error)
        return found._replace(reason=clean(found.reason, self._secrets))

    def answered(self) -> None:
        """The provider answered just now."""
        self.exchanged = asyncio.get_running_loop().time()

    async def close(self) -> None:
        """Leave all connections."""
        if self._client:
            await self._client.close()
