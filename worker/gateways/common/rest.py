"""A provider's REST API over aiohttp: one small session, and errors that say what was refused.

Nothing follows a redirect by itself, and credentials stand in a header only, which no error text repeats.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from proto.gateways import ErrorClass
from proto.secrets import redact
from worker.base import tls

T = TypeVar("T")

CONNECTIONS: Final = 8
"""At once to one provider."""

CONNECT_TIMEOUT: Final = 10.0
REQUEST_TIMEOUT: Final = 30.0
DNS_TTL: Final = 60
MAX_ANSWER: Final = 4 * 1024 * 1024
REASON_CHARS: Final = 500
DEFAULT_WAIT: Final = 5.0
"""Seconds after a 429 that names none."""

NETWORK: Final = "Check this machine's network and whether the provider is up. Trying again by itself."
WAIT: Final = "Nothing to do: it goes on by itself."


class Refusal(Exception):
    """The provider answered with an error; ``code`` is its own, None where it gave none. ``message`` is a sentence."""

    def __init__(self, status: int, code: int | None, message: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = f"{message}." if message[-1:].isalnum() else message
        self.retry_after = retry_after


class UnreadableError(Exception):
    """The provider's address answered something that is not its protocol."""


ProviderError: TypeAlias = Refusal | UnreadableError | aiohttp.ClientError | OSError
PROVIDER_ERRORS: Final = (Refusal, UnreadableError, aiohttp.ClientError, OSError)
"""What a request may raise; OSError includes TimeoutError."""

ReadError: TypeAlias = Callable[[bytes], tuple[int | None, str]]
"""Takes the body of an error answer; returns the provider's code and message, (None, "") where it has none.

May raise ``msgspec.DecodeError``."""


class Trouble(NamedTuple):
    """What an error means, and what to do about it; ``retry_after`` in seconds."""

    kind: ErrorClass
    reason: str
    hint: str
    retry_after: float = 0.0

    @property
    def stops(self) -> bool:
        """Whether only a person can help."""
        return self.kind in ("credential", "config")


class Rest:
    """One account of a provider. ``headers`` carry its credentials, to ``url`` and nowhere else."""

    def __init__(self, url: str, headers: Mapping[str, str], read_error: ReadError) -> None:
        self.url = url.rstrip("/")
        self.exchanged: float | None = None
        """Loop time of the last answer."""
        self._headers = headers
        self._read_error = read_error
        self._client: aiohttp.ClientSession | None = None

    @property
    def client(self) -> aiohttp.ClientSession:
        """The session without credentials; its connections are made when they are needed."""
        if self._client is None or self._client.closed:
            secure = urlsplit(self.url).scheme == "https"
            connector = aiohttp.TCPConnector(
                ssl=tls.context() if secure else False, limit=CONNECTIONS, ttl_dns_cache=DNS_TTL
            )
            self._client = aiohttp.ClientSession(connector=connector, trust_env=secure, auto_decompress=True)
        return self._client

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | aiohttp.FormData | None = None,
        json: object = None,
        timeout: float = REQUEST_TIMEOUT,
    ) -> Any:
        """Send one request and return its JSON (Any: the provider's). Raises what PROVIDER_ERRORS lists."""
        headers = dict(self._headers)
        data: bytes | Mapping[str, str] | aiohttp.FormData | None = form
        if json is not None:
            data = msgspec.json.encode(json)
            headers["Content-Type"] = "application/json"
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_TIMEOUT)
        async with self.client.request(
            method,
            self.url + path,
            params=params,
            data=data,
            headers=headers,
            timeout=limits,
            allow_redirects=False,
        ) as response:
            body = await _whole(response)
            self.exchanged = asyncio.get_running_loop().time()
            if not 200 <= response.status < 300:
                raise self._refusal(response, body)
        try:
            return msgspec.json.decode(body) if body else None
        except msgspec.DecodeError as error:
            raise UnreadableError(str(error)) from None

    async def close(self) -> None:
        """Leave all connections."""
        if self._client:
            await self._client.close()

    def _refusal(self, response: aiohttp.ClientResponse, body: bytes) -> Refusal:
        try:
            code, message = self._read_error(body)
        except msgspec.DecodeError:
            code, message = None, ""
        told = response.headers.get("Retry-After", "")
        wait = float(told) if told.isdigit() else DEFAULT_WAIT if response.status == 429 else 0.0
        return Refusal(response.status, code, clean(message) or (response.reason or ""), wait)


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """The body; raises UnreadableError for one that no API sends."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        body += chunk
        if len(body) > MAX_ANSWER:
            raise UnreadableError("the answer is too long")
    return bytes(body)


def understood(answer: object, kind: type[T]) -> T:
    """An answer as what it should be. Raises UnreadableError."""
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise UnreadableError(str(error)) from None


def maybe_taken(error: Exception) -> bool:
    """Whether the provider may have done what was asked: the request was written, and no word of refusal came."""
    match error:
        case Refusal(status=status):
            return status >= 500
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return False
        case _:
            return True


def passing(provider: str, error: Exception) -> Trouble:
    """An error that has no code of the provider's own, in words."""
    match error:
        case Refusal(status=429, retry_after=seconds):
            return Trouble("throttle", f"{provider} asks to wait {seconds:g} s.", WAIT, seconds)
        case Refusal(status=status, code=code, message=message):
            told = f"{status}, {code}" if code is not None else str(status)
            return Trouble("transient", clean(f"{provider} refuses ({told}): {message}"), NETWORK)
        case TimeoutError():
            return Trouble("transient", f"{provider} did not answer in time.", NETWORK)
        case OSError() | aiohttp.ClientError():
            return Trouble(
                "transient", clean(f"{provider} cannot be reached: {str(error) or type(error).__name__}"), NETWORK
            )
        case _:
            return Trouble("transient", f"{provider}'s address answers something that is not its protocol.", NETWORK)


def clean(text: str) -> str:
    """One short line without anything that looks like a secret."""
    line = " ".join(redact(text).split())
    return line if len(line) <= REASON_CHARS else line[: REASON_CHARS - 1] + "…"
