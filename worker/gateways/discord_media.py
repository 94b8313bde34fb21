"""Files that people send over Discord, fetched whole and synced into her media folder before anybody hears of them."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

import aiohttp

from worker.backoff import Backoff
from worker.gateways.discord_frames import Attachment

MAX_FILE: Final = 25 * 1024 * 1024
FETCH_TIMEOUT: Final = 60.0
CONNECT_TIMEOUT: Final = 10.0
TRIES: Final = 3
TOGETHER: Final = 3
"""Files fetched at once."""

CHUNK: Final = 256 * 1024
TOO_LARGE: Final = "it is larger than 25 MB, the limit here"


class NotFetchedError(Exception):
    """The file cannot be had; the text says why, as the end of a sentence."""


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
        part = self._folder / f".part-{secrets.token_hex(8)}"
        target = await asyncio.to_thread(_create, part)
        try:
            await self._copy(url, target)
            await asyncio.to_thread(_keep, target, part, self._folder / name)
        except BaseException:
            target.close()
            part.unlink(missing_ok=True)
            raise

    async def _copy(self, url: str, target: IO[bytes]) -> None:
        limits = aiohttp.ClientTimeout(total=FETCH_TIMEOUT, sock_connect=CONNECT_TIMEOUT)
        size = 0
        async with self._session.get(url, timeout=limits, allow_redirects=False) as response:
            if response.status != 200:
                raise aiohttp.ClientResponseError(response.request_info, (), status=response.status)
            async for chunk in response.content.iter_chunked(CHUNK):
                size += len(chunk)
                if size > MAX_FILE:
                    raise NotFetchedError(TOO_LARGE)
                await asyncio.to_thread(target.write, chunk)


def _create(part: Path) -> IO[bytes]:
    part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _keep(target: IO[bytes], part: Path, whole: Path) -> None:
    """Give a file its name once all of it is on the disk, and the name too."""
    with target:
        target.flush()
        os.fsync(target.fileno())
    part.rename(whole)
    folder = os.open(whole.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
