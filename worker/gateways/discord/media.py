"""Files that people send over Discord, fetched whole and synced into her media folder before anybody hears of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from worker.base.backoff import Backoff
from worker.gateways.common.media import NotFetchedError, TooLargeError, store
from worker.gateways.discord.frames import Attachment

MAX_FILE: Final = 25 * 1024 * 1024
FETCH_TIMEOUT: Final = 60.0
CONNECT_TIMEOUT: Final = 10.0
TRIES: Final = 3
TOGETHER: Final = 3
"""Files fetched at once."""

CHUNK: Final = 256 * 1024
TOO_LARGE: Final = "it is larger than 25 MB, the limit here"


class MediaStore:
    """Fetches files of messages into ``folder``, over plain HTTP only if ``secure`` is not set."""

    def __init__(self, session: aiohttp.ClientSession, folder: Path, *, secure: bool) -> None:
        self._session = session
        self._folder = folder
        self._secure = secure
        self._free = asyncio.Semaphore(TOGETHER)

    async def fetch(self, attachment: Attachment, name: str) -> None:
        """Put the file there as ``name``; a file of this name is the same one from an earlier try.

        Raises NotFetchedError.
        """
        if attachment.size > MAX_FILE:
            raise NotFetchedError(TOO_LARGE)
        if urlsplit(attachment.url).scheme not in (("https",) if self._secure else ("https", "http")):
            raise NotFetchedError("its address is not one of Discord's")
        async with self._free:
            if not await asyncio.to_thread((self._folder / name).is_file):
                await self._try_often(attachment.url, name)

    async def _try_often(self, url: str, name: str) -> None:
        backoff = Backoff(0.5, 5.0)
        for left in range(TRIES - 1, -1, -1):
            try:
                async with asyncio.timeout(FETCH_TIMEOUT):
                    await self._get(url, name)
                return
            except TimeoutError:
                why = "the download took too long"
            except aiohttp.ClientResponseError as error:
                why = f"Discord's file server answers {error.status}"
                if error.status in (403, 404, 410):
                    raise NotFetchedError("Discord has it no more") from None
            except aiohttp.ClientError as error:
                why = f"the download broke off ({type(error).__name__})"
            except OSError as error:
                raise NotFetchedError(f"it cannot be stored here ({error.strerror})") from None
            if not left:
                raise NotFetchedError(why)
            await asyncio.sleep(backoff.next())

    async def _get(self, url: str, name: str) -> None:
        try:
            await store(self._folder, name, self._chunks(url), MAX_FILE)
        except TooLargeError:
            raise NotFetchedError(TOO_LARGE) from None

    async def _chunks(self, url: str) -> AsyncIterator[bytes]:
        limits = aiohttp.ClientTimeout(total=FETCH_TIMEOUT, sock_connect=CONNECT_TIMEOUT)
        async with self._session.get(url, timeout=limits, allow_redirects=False) as response:
            if response.status != 200:
                raise aiohttp.ClientResponseError(response.request_info, (), status=response.status)
            async for chunk in response.content.iter_chunked(CHUNK):
                yield chunk
