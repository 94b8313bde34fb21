"""Files that people send over Telegram, fetched whole and synced into her media folder before anybody hears of them."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path
from typing import IO, Final, NamedTuple

from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest
from aiohttp import ClientError, ClientResponseError

from proto.perception import PerceptionKind
from proto.secrets import Secret
from worker.backoff import Backoff
from worker.gateways.telegram_session import PROVIDER_ERRORS, Session, trouble

MAX_FILE: Final = 20 * 1024 * 1024
"""Bytes: what getFile serves (Bot API, getFile)."""

FETCH_TIMEOUT: Final = 60.0
TRIES: Final = 3
TOGETHER: Final = 3
"""Files fetched at once."""

TOO_LARGE: Final = "Telegram gives bots files of up to 20 MB only"


class Attachment(NamedTuple):
    """A file to fetch; ``what`` names it in a sentence: "a photo"."""

    file_id: str
    kind: PerceptionKind
    extension: str
    what: str
    size: int | None


class NotFetchedError(Exception):
    """The file cannot be had; the text says why, as the end of a sentence."""


class MediaStore:
    """Fetches files of one bot into ``folder``."""

    def __init__(self, bot: Bot, session: Session, token: Secret, folder: Path) -> None:
        self._bot = bot
        self._session = session
        self._token = token
        self._folder = folder
        self._free = asyncio.Semaphore(TOGETHER)

    async def fetch(self, attachment: Attachment, name: str) -> None:
        """Put the file there as ``name``; a file of this name is the same one from an earlier try.

        Raises NotFetchedError.
        """
        if (attachment.size or 0) > MAX_FILE:
            raise NotFetchedError(TOO_LARGE)
        async with self._free:
            if not await asyncio.to_thread((self._folder / name).is_file):
                await self._try_often(attachment.file_id, name)

    async def _try_often(self, file_id: str, name: str) -> None:
        backoff = Backoff(0.5, 5.0)
        for left in range(TRIES - 1, -1, -1):
            try:
                async with asyncio.timeout(FETCH_TIMEOUT):
                    await self._get(file_id, name)
                return
            except TelegramBadRequest as error:
                raise NotFetchedError(TOO_LARGE if "too big" in error.message else "Telegram has it no more") from None
            except PROVIDER_ERRORS as error:
                why = trouble(error, self._token).reason.rstrip(".")
            except ClientResponseError as error:
                why = f"Telegram's file server answers {error.status}"
            except ClientError as error:
                why = f"the download broke off ({type(error).__name__})"
            except OSError as error:
                raise NotFetchedError(f"it cannot be stored here ({error.strerror})") from None
            if not left:
                raise NotFetchedError(why)
            await asyncio.sleep(backoff.next())

    async def _get(self, file_id: str, name: str) -> None:
        file = await self._bot.get_file(file_id)
        if (file.file_size or 0) > MAX_FILE:
            raise NotFetchedError(TOO_LARGE)
        part = self._folder / f".part-{secrets.token_hex(8)}"
        target = await asyncio.to_thread(_create, part)
        try:
            await self._copy(file.file_path or "", target)
            await asyncio.to_thread(_keep, target, part, self._folder / name)
        except BaseException:
            target.close()
            part.unlink(missing_ok=True)
            raise

    async def _copy(self, path: str, target: IO[bytes]) -> None:
        size = 0
        async for chunk in self._session.download(self._bot, path, FETCH_TIMEOUT):
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
