"""A provider's REST API over aiohttp: JSON in and out, and errors that say what was refused.

No request is retried and no redirect is followed automatically. Credentials are sent in headers or paths, which never
appear in an error text.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

import aiohttp
import msgspec

from proto.gateways import Gateway
from worker.gateways.common.account import CONNECT_TIMEOUT, REQUEST_TIMEOUT, Account
from worker.gateways.common.media_download import Hosts, chunks_of
from worker.gateways.common.reading import fitted, parsed
from worker.gateways.common.trouble import DEFAULT_WAIT, Refusal, UnreadableError, clean

T = TypeVar("T")

MAX_ANSWER: Final = 4 * 1024 * 1024
"""Bytes of an answer. None of our API calls gets a longer one."""

UPLOAD_TIMEOUT: Final = 120.0
"""Seconds for a request that uploads a file."""


class ErrorBody(NamedTuple):
    """What the body of an error answer says. ``code`` is None if the body is not the provider's."""

    code: int | str | None = None
    message: str = ""
    retry_after: float = 0.0


class Rest(Account):
    """An account with a REST API. ``headers`` hold its credentials; only ``url`` and the trusted hosts get them."""

    file_suffixes: ClassVar[tuple[str, ...]] = ()
    """Suffixes of the hosts that serve the provider's files; see ``Hosts``."""

    trusted_suffixes: ClassVar[tuple[str, ...]] = ()
    """Suffixes of the hosts that also get the credentials."""

    def __init__(
        self, gateway: Gateway, url: str, headers: Mapping[str, str], request_timeout: float = REQUEST_TIMEOUT
    ) -> None:
        super().__init__(gateway, url, request_timeout)
        self._headers = dict(headers)

    @abstractmethod
    def read_error(self, body: bytes) -> ErrorBody:
        """Read the body of an error answer. Raises UnreadableError if it is not the provider's."""

    def chunks(self, url: str) -> AsyncIterator[bytes]:
        hosts = Hosts(self.url, self.file_suffixes, self.trusted_suffixes)
        return chunks_of(self, url, hosts, self._headers)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | aiohttp.FormData | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Send one request and return the JSON of its answer (Any). Raises what PROVIDER_ERRORS lists."""
        sent = {**self._headers, **(headers or {})}
        data: bytes | Mapping[str, str] | aiohttp.FormData | None = form
        if json is not None:
            data = msgspec.json.encode(json)
            sent["Content-Type"] = "application/json"
        limits = aiohttp.ClientTimeout(total=timeout or self.request_timeout, sock_connect=CONNECT_TIMEOUT)
        async with self.client.request(
            method, self.url + path, params=params, data=data, headers=sent, timeout=limits, allow_redirects=False
        ) as response:
            body = await _whole(response)
            self.answered()
            if not 200 <= response.status < 300:
                raise self._refusal(response, body)
        return parsed(body) if body else None

    def _refusal(self, response: aiohttp.ClientResponse, body: bytes) -> Refusal:
        try:
            error = self.read_error(body)
        except UnreadableError:
            error = ErrorBody()
        wait = error.retry_after or _seconds(response.headers.get("Retry-After", ""))
        if response.status == 429:
            wait = wait or DEFAULT_WAIT
        return Refusal(response.status, error.code, clean(error.message) or (response.reason or ""), wait)


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """Read the whole body. Raises UnreadableError over ``MAX_ANSWER`` bytes."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        body += chunk
        if len(body) > MAX_ANSWER:
            raise UnreadableError("the answer is too long")
    return bytes(body)


def _seconds(header: str) -> float:
    """Return Retry-After in seconds; 0 for a date, which none of these providers sends.

    https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
    """
    return float(header) if header.isascii() and header.replace(".", "", 1).isdigit() else 0.0


def understood(answer: object, kind: type[T]) -> T:
    """Convert an answer to the expected type. Raises UnreadableError."""
    return fitted(answer, kind)
