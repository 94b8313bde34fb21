"""Files behind addresses that a provider names: fetched from its own hosts only, whole and synced, size-limited."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

import aiohttp

from worker.base.backoff import Backoff
from worker.gateways.common.allowance import OVER, Allowance
from worker.gateways.common.media import NotFetchedError, TooLargeError, store

MAX_FILE: Final = 25 * 1024 * 1024
FETCH_TIMEOUT: Final = 60.0
CONNECT_TIMEOUT: Final = 10.0
TRIES: Final = 3
TOGETHER: Final = 4
"""Files fetched at once."""

UNSTATED: Final = 5 * 1024 * 1024
"""What a file counts whose size nobody says: Twilio's are as large at most, but on WhatsApp."""

CHUNK: Final = 256 * 1024
MAX_REDIRECTS: Final = 3
TOO_LARGE: Final = "it is larger than 25 MB, the limit here"
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Hosts(NamedTuple):
    """Which hosts serve a provider's files: the API's own, and those that end in one of ``suffixes``.

    ``trusted`` are suffixes of hosts that get the credentials as well.
    """

    api: str
    suffixes: tuple[str, ...]
    trusted: tuple[str, ...] = ()

    def serves(self, url: SplitResult) -> bool:
        """Whether a file may be fetched there: over HTTPS, or from the loopback where the API is there too."""
        api, host = urlsplit(self.api), url.hostname or ""
        if _is_loopback(api.hostname or ""):
            return url.scheme in ("http", "https") and _is_loopback(host)
        return (
            url.scheme == "https" and url.port in (None, 443) and (host == api.hostname or _ends(host, self.suffixes))
        )

    def trusts(self, url: SplitResult) -> bool:
        """Whether this address may see the credentials."""
        api = urlsplit(self.api)
        same = (url.scheme, url.hostname, url.port) == (api.scheme, api.hostname, api.port)
        return same or (url.scheme == "https" and _ends(url.hostname or "", self.trusted))


class Fetcher:
    """Fetches files of one provider into ``folder``; ``client`` gives the session, ``headers`` hold the credentials.

    ``page_hint`` is for a provider that answers a page to log in on in place of a file: what is missing then.
    """

    def __init__(
        self,
        provider: str,
        client: Callable[[], aiohttp.ClientSession],
        headers: Mapping[str, str],
        hosts: Hosts,
        folder: Path,
        page_hint: str = "",
    ) -> None:
        self._page_hint = page_hint
        self._provider = provider
        self._client = client
        self._headers = headers
        self._hosts = hosts
        self._folder = folder
        self._free = asyncio.Semaphore(TOGETHER)
        self._allowance = Allowance(asyncio.get_running_loop().time)

    async def fetch(self, url: str, name: str, sender: str, size: int | None = None) -> None:
        """Put the file there as ``name``; a file of this name is the same one from an earlier try.

        ``size`` is what the provider says of it. Raises NotFetchedError, also when ``sender`` sent too many.
        """
        if (size or 0) > MAX_FILE:
            raise NotFetchedError(TOO_LARGE)
        async with self._free:
            if await asyncio.to_thread((self._folder / name).is_file):
                return
            if not self._allowance.grants(sender, UNSTATED if size is None else size):
                raise NotFetchedError(OVER)
            await self._try_often(url, name)

    async def _try_often(self, url: str, name: str) -> None:
        backoff = Backoff(0.5, 5.0)
        for left in range(TRIES - 1, -1, -1):
            try:
                async with asyncio.timeout(FETCH_TIMEOUT):
                    await store(self._folder, name, self._chunks(url), MAX_FILE)
                return
            except TooLargeError:
                raise NotFetchedError(TOO_LARGE) from None
            except TimeoutError:
                why = "the download took too long"
            except aiohttp.ClientResponseError as error:
                why = f"{self._provider}'s file server answers {error.status}"
                if error.status in (401, 403, 404, 410):
                    hint = f"; {self._page_hint}" if self._page_hint else ""
                    raise NotFetchedError(f"{self._provider} does not give it ({error.status}){hint}") from None
            except aiohttp.ClientError as error:
                why = f"the download broke off ({type(error).__name__})"
            except OSError as error:
                raise NotFetchedError(f"it cannot be stored here ({error.strerror})") from None
            if not left:
                raise NotFetchedError(why)
            await asyncio.sleep(backoff.next())

    async def _chunks(self, url: str) -> AsyncIterator[bytes]:
        limits = aiohttp.ClientTimeout(total=FETCH_TIMEOUT, sock_connect=CONNECT_TIMEOUT)
        for _ in range(MAX_REDIRECTS + 1):
            headers = self._headers if self._hosts.trusts(self._checked(url)) else {}
            async with self._client().get(url, headers=headers, timeout=limits, allow_redirects=False) as response:
                if response.status in REDIRECTS:
                    url = urljoin(url, response.headers.get("Location", ""))
                    continue
                is_page = bool(self._page_hint) and response.content_type == "text/html"
                if response.status != 200 or is_page:
                    status = 403 if is_page else response.status
                    raise aiohttp.ClientResponseError(response.request_info, (), status=status)
                async for chunk in response.content.iter_chunked(CHUNK):
                    yield chunk
                return
        raise NotFetchedError("its address leads nowhere")

    def _checked(self, url: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            if self._hosts.serves(parts):
                return parts
        except ValueError as error:
            raise NotFetchedError("its address cannot be read") from error
        raise NotFetchedError(f"its address is not one of {self._provider}'s")


def _ends(host: str, suffixes: tuple[str, ...]) -> bool:
    return any(host.endswith(f".{suffix}") or host == suffix for suffix in suffixes)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
