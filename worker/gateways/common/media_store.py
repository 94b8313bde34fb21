"""Stores files from providers: each is complete and synced in her media folder before anything refers to it."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from worker.gateways.common.attachments import NotFetchedError, TooLargeError


class NotStoredError(NotFetchedError):
    """The file cannot be stored on this machine. The text says why."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"it cannot be stored here ({error.strerror})")


async def store(folder: Path, name: str, chunks: AsyncIterator[bytes], limit: int) -> None:
    """Write ``chunks`` to the file ``name`` in ``folder``. If anything fails, no file of that name is left.

    Raises TooLargeError over ``limit`` bytes, NotStoredError, and whatever ``chunks`` raises.
    """
    part = folder / f".part-{secrets.token_hex(8)}"
    try:
        target = await asyncio.to_thread(_create, part)
    except OSError as error:
        raise NotStoredError(error) from None
    try:
        await _copy(chunks, target, limit)
        try:
            await asyncio.to_thread(_keep, target, part, folder / name)
        except OSError as error:
            raise NotStoredError(error) from None
    except BaseException:
        target.close()
        part.unlink(missing_ok=True)
        raise


async def _copy(chunks: AsyncIterator[bytes], target: IO[bytes], limit: int) -> None:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise TooLargeError
        try:
            await asyncio.to_thread(target.write, chunk)
        except OSError as error:
            raise NotStoredError(error) from None


def _create(part: Path) -> IO[bytes]:
    part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _keep(target: IO[bytes], part: Path, whole: Path) -> None:
    """Sync the file, give it its name, and sync the folder so that the name survives a crash too.

    https://man7.org/linux/man-pages/man2/fsync.2.html
    """
    with target:
        target.flush()
        os.fsync(target.fileno())
    part.rename(whole)
    folder = os.open(whole.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
