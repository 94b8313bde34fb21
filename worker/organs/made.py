"""Files that her organs make: whole and synced in her media folder before anybody hears of them.

A file is written as ``.part-<name>`` and gets its name as a second link. The first one stays until the ledger speaks of
the file: the daemon takes it away then, and a start finds by it what a crash left in doubt.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Final, Literal

PART: Final = ".part-"


class TooLargeError(Exception):
    """More came than the file may hold."""


class UnfitError(Exception):
    """What came begins like no file that it could be."""


HEADS: Final[dict[str, tuple[tuple[int, bytes], ...]]] = {
    ".png": ((0, b"\x89PNG\r\n\x1a\n"),),
    ".jpg": ((0, b"\xff\xd8\xff"),),
    ".webp": ((0, b"RIFF"), (8, b"WEBP")),
    ".gif": ((0, b"GIF8"),),
    ".ogg": ((0, b"OggS"),),
    ".flac": ((0, b"fLaC"),),
    ".wav": ((0, b"RIFF"), (8, b"WAVE")),
    ".webm": ((0, b"\x1a\x45\xdf\xa3"),),
    ".m4a": ((4, b"ftyp"),),
    ".mp3": ((0, b"ID3"),),
}
"""What files begin with, and where: a name proves nothing."""

HEAD_BYTES: Final = 12
MIMES: Final = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif"}


def extension_of(head: bytes) -> str:
    """The extension that fits what a file begins with, or ""."""
    for extension, marks in HEADS.items():
        if all(head[at : at + len(mark)] == mark for at, mark in marks):
            return extension
    return ""


async def keep(
    folder: Path, kind: Literal["image", "audio"], takes: frozenset[str], chunks: AsyncIterator[bytes], limit: int
) -> str:
    """Put what ``chunks`` bring into ``folder`` under a new name, which is returned.

    Raises TooLargeError over ``limit`` bytes, UnfitError for content of no type in ``takes``, OSError, and whatever
    ``chunks`` raises; nothing is left then.
    """
    part = folder / f"{PART}{kind}-{secrets.token_hex(16)}"
    target = await asyncio.to_thread(_create, part)
    try:
        head = await _copy(chunks, target, limit)
        return await _to_the_end(target, part, _fitting(head, takes))
    except BaseException:
        target.close()
        part.unlink(missing_ok=True)
        raise


def drop(folder: Path, name: str) -> None:
    """Take a file away that nobody will speak of; in this order: while the file is there, its mark is."""
    (folder / name).unlink(missing_ok=True)
    (folder / f"{PART}{name}").unlink(missing_ok=True)


def _fitting(head: bytes, takes: frozenset[str]) -> str:
    extension = extension_of(head)
    if extension not in takes:
        raise UnfitError
    return extension


async def _to_the_end(target: IO[bytes], part: Path, extension: str) -> str:
    """Name the file on a thread; when cancelled, take away what the thread had finished."""
    naming = asyncio.ensure_future(asyncio.to_thread(_name, target, part, extension))
    try:
        return await asyncio.shield(naming)
    except asyncio.CancelledError:
        await asyncio.wait([naming])
        if not naming.exception():
            drop(part.parent, naming.result())
        raise


async def _copy(chunks: AsyncIterator[bytes], target: IO[bytes], limit: int) -> bytes:
    head, size = b"", 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise TooLargeError
        head = (head + chunk)[:HEAD_BYTES] if len(head) < HEAD_BYTES else head
        await asyncio.to_thread(target.write, chunk)
    return head


def _create(part: Path) -> IO[bytes]:
    part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb")


def _name(target: IO[bytes], part: Path, extension: str) -> str:
    """Give a file its name once all of it is on the disk, and the name too."""
    with target:
        target.flush()
        os.fsync(target.fileno())
    name = f"{part.name.removeprefix(PART)}{extension}"
    marked = part.with_name(f"{PART}{name}")
    part.rename(marked)
    try:
        os.link(marked, part.with_name(name))
        folder = os.open(part.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError:
        drop(part.parent, name)
        raise
    return name
