"""Fetches the files of inbound messages: from the provider's own hosts only, and limited in size and number.

A file is complete and synced to disk before its message goes on. A file that cannot be fetched never holds up its
message: a note tells her what was sent and why it is missing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

import aiohttp

from proto.gateways import Gateway, Inbound
from proto.perception import VISITORS
from worker.base.backoff import Backoff
from worker.gateways.common.account import CONNECT_TIMEOUT, Account
from worker.gateways.common.allowance import OVER, Allowance
from worker.gateways.common.attachments import (
    Attachment,
    NotFetchedError,
    TooLargeError,
    attach,
    lost,
    unperceived,
    unwanted,
)
from worker.gateways.common.media_store import store
from worker.gateways.common.trouble import PROVIDER_ERRORS, Refusal

MAX_FILE: Final = 25 * 1024 * 1024
"""Bytes."""

TRIES: Final = 3
TOGETHER: Final = 4
"""Files fetched at once."""

UNSTATED: Final = 5 * 1024 * 1024
"""Bytes counted for a file whose size the provider does not state. Twilio's files are at most this large
(https://www.twilio.com/docs/messaging/guides/accepted-mime-types)."""

CHUNK: Final = 256 * 1024
MAX_REDIRECTS: Final = 3
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

_PLAIN: Final = re.compile(r"[A-Za-z0-9-]{1,64}\Z")


class Files:
    """Fetches one channel's files into ``folder``. ``limit`` is in bytes, ``timeout`` in seconds for one try."""

    def __init__(self, gateway: Gateway, account: Account, folder: Path, limit: int, timeout: float) -> None:
        self._gateway = gateway
        self._account = account
        self._folder = folder
        self._limit = limit
        self._timeout = timeout
        self._prefix = f"{VISITORS if gateway.open else ''}{gateway.type}-{gateway.channel[:8]}"
        self._free = asyncio.Semaphore(TOGETHER)
        self._allowance = Allowance(asyncio.get_running_loop().time)

    async def fetch(self, item: Inbound, file: Attachment) -> str:
        """Fetch a file, attach it to its message, and return the note for her, "" if none is needed.

        On a paired channel only the paired account's files are fetched, so that strangers cannot fill the disk.
        """
        if not file.extension:
            return unperceived(file)
        if not self._gateway.open and item.account != self._gateway.account:
            return unwanted(file)
        name = f"{self._prefix}-{_stem(item.key)}{file.extension}"
        try:
            await self._have(file, name, item.account)
        except NotFetchedError as error:
            return lost(file, error)
        attach(item, file, name)
        return file.note

    async def _have(self, file: Attachment, name: str, sender: str) -> None:
        """Fetch the file and store it as ``name``, unless an earlier try has already stored it."""
        self._refuse_large(file.size)
        async with self._free:
            if not await asyncio.to_thread((self._folder / name).is_file):
                await self._try_often(file, name, sender)

    async def _try_often(self, file: Attachment, name: str, sender: str) -> None:
        backoff = Backoff(0.5, 5.0)
        granted = False
        for left in range(TRIES - 1, -1, -1):
            try:
                async with asyncio.timeout(self._timeout):
                    url, size = await self._account.locate(file)
                    self._refuse_large(size)
                    granted = granted or self._grant(sender, size)
                    await store(self._folder, name, self._account.chunks(url), self._limit)
                return
            except TooLargeError:
                raise self._too_large() from None
            except PROVIDER_ERRORS as error:
                why = self._why(error)
                if not left:
                    raise NotFetchedError(why) from None
            await asyncio.sleep(backoff.next())

    def _refuse_large(self, size: int | None) -> None:
        if (size or 0) > self._limit:
            raise self._too_large()

    def _too_large(self) -> NotFetchedError:
        return NotFetchedError(f"it is larger than {self._limit // 1_048_576} MB, the limit here")

    def _grant(self, sender: str, size: int | None) -> bool:
        """Count the file for its sender on an open channel. Raises NotFetchedError over the sender's limit."""
        if self._gateway.open and not self._allowance.grants(sender, UNSTATED if size is None else size):
            raise NotFetchedError(OVER)
        return True

    def _why(self, error: Exception) -> str:
        """Say why this try failed. Raises NotFetchedError if another try is pointless."""
        provider = self._account.provider
        match error:
            case Refusal(status=status) if 400 <= status < 500 and status not in (408, 425, 429):
                raise NotFetchedError(f"{provider} does not give it ({status})") from None
            case Refusal(status=status):
                return f"{provider}'s file server answers {status}"
            case TimeoutError():
                return "the download took too long"
            case _:
                return f"the download broke off ({type(error).__name__})"


class Hosts(NamedTuple):
    """The hosts that serve a provider's files: the API's host, and hosts whose name ends in one of ``suffixes``.

    Hosts that end in one of ``trusted`` also get the credentials.
    """

    api: str
    suffixes: tuple[str, ...]
    trusted: tuple[str, ...] = ()

    def serves(self, url: SplitResult) -> bool:
        """Whether a file may be fetched from here: over HTTPS only, or from loopback if the API is on loopback too."""
        api, host = urlsplit(self.api), url.hostname or ""
        if _is_loopback(api.hostname or ""):
            return url.scheme in ("http", "https") and _is_loopback(host)
        return (
            url.scheme == "https" and url.port in (None, 443) and (host == api.hostname or _ends(host, self.suffixes))
        )

    def trusts(self, url: SplitResult) -> bool:
        """Whether the credentials may be sent to this URL."""
        api = urlsplit(self.api)
        same = (url.scheme, url.hostname, url.port) == (api.scheme, api.hostname, api.port)
        return same or (url.scheme == "https" and _ends(url.hostname or "", self.trusted))


async def chunks_of(account: Account, url: str, hosts: Hosts, credentials: dict[str, str]) -> AsyncIterator[bytes]:
    """Read the file at a URL; follows redirects within the provider's hosts.

    Raises what PROVIDER_ERRORS lists, and NotFetchedError for a URL that is not the provider's.
    """
    limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT)
    for _ in range(MAX_REDIRECTS + 1):
        headers = credentials if hosts.trusts(_checked(url, hosts, account.provider)) else {}
        async with account.client.get(url, headers=headers, timeout=limits, allow_redirects=False) as response:
            if response.status in REDIRECTS:
                url = urljoin(url, response.headers.get("Location", ""))
                continue
            if response.status != 200:
                raise Refusal(response.status, None, response.reason or "")
            if response.content_type == "text/html":
                # No perception takes web pages, so this is a login page or a proxy's page instead of the file.
                raise NotFetchedError(f"{account.provider} sent a web page instead{account.page_hint}")
            async for chunk in response.content.iter_chunked(CHUNK):
                yield chunk
            return
    raise NotFetchedError("its address leads nowhere")


def _checked(url: str, hosts: Hosts, provider: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if hosts.serves(parts):
            return parts
    except ValueError:
        raise NotFetchedError("its address cannot be read") from None
    raise NotFetchedError(f"its address is not one of {provider}'s")


def _ends(host: str, suffixes: tuple[str, ...]) -> bool:
    return any(host.endswith(f".{suffix}") or host == suffix for suffix in suffixes)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _stem(key: str) -> str:
    """Return a message's key in a form that is safe in a file name."""
    plain = key.replace(".", "-")
    return plain if _PLAIN.match(plain) else sha256(key.encode()).hexdigest()[:32]
