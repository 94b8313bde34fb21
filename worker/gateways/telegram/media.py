"""Files that people send over Telegram, fetched whole and synced into her media folder before anybody hears of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, NamedTuple

from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest
from aiohttp import ClientError, ClientResponseError

from proto.perception import PerceptionKind
from proto.secrets import Secret
from worker.base.backoff import Backoff
from worker.gateways.common.media import NotFetchedError, TooLargeError, store
from worker.gateways.telegram.session import PROVIDER_ERRORS, Session, trouble

MAX_FILE: Final = 20 * 1024 * 1024
"""Bytes: what getFile serves (Bot API, getFile)."""

FETCH_TIMEOUT: Final = 60.0
TRIES: Final = 3
TOGETHER: Final = 3
"""Files fetched at once."""

TOO_LARGE: Final = "Telegram gives bots files of up to 20 MB only"


class Attachment(NamedTuple):
    """A file to fetch; ``what`` names it in a sentence: "a photo"; ``title`` is its own name, if it has one."""

    file_id: str
    kind: PerceptionKind
    extension: str
    what: str
    size: int | None
    title: str = ""


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
        chunks = self._session.download(self._bot, file.file_path or "", FETCH_TIMEOUT)
        try:
            await store(self._folder, name, chunks, MAX_FILE)
        except TooLargeError:
            raise NotFetchedError(TOO_LARGE) from None
