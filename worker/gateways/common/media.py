"""Files from providers: whole and synced in her media folder before anybody hears of them."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from proto.gateways import Gateway
from proto.perception import VISITORS


class NotFetchedError(Exception):
    """The file cannot be had; the text says why, as the end of a sentence."""


class TooLargeError(NotFetchedError):
    """It is over the limit, whatever its size was said to be."""


def prefix(gateway: Gateway) -> str:
    """What the names of a channel's files begin with."""
    return f"{VISITORS if gateway.open else ''}{gateway.type}-{gateway.channel[:8]}"


async def store(folder: Path, name: str, chunks: AsyncIterator[bytes], limit: int) -> None:
    """Put what ``chunks`` bring into ``folder`` as ``name``; what is cut off leaves nothing of that name.

    Raises TooLargeError over ``limit`` bytes, OSError, and whatever ``chunks`` raises.
    """
    part = folder / f".part-{secrets.token_hex(8)}"
    target = await asyncio.to_thread(_create, part)
    try:
        await _copy(chunks, target, limit)
        await asyncio.to_thread(_keep, target, part, folder / name)
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
