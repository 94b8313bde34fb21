"""Files that her organs make. Each is complete and synced in her media folder before its name is passed on.

A file is written as ``.part-<name>`` and then gets its name as a second link. The first link stays until the ledger
refers to the file; then the daemon removes it. At its start the daemon finds by these links the files that a crash left
behind.
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
    """The data is larger than the limit."""


class UnfitError(Exception):
    """The data begins like none of the accepted file types."""


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
"""The bytes that mark each file type, with their offsets, because a name proves nothing."""

HEAD_BYTES: Final = 12
MIMES: Final = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif"}


def extension_of(head: bytes) -> str:
    """Return the extension that matches a file's first bytes, or ""."""
    for extension, marks in HEADS.items():
        if all(head[at : at + len(mark)] == mark for at, mark in marks):
            return extension
    return ""


async def keep(
    folder: Path, kind: Literal["image", "audio"], takes: frozenset[str], chunks: AsyncIterator[bytes], limit: int
) -> str:
    """Write ``chunks`` into a new file in ``folder``, and return the file's name.

    Raises TooLargeError when there are more than ``limit`` bytes, UnfitError when the content has no type in ``takes``,
    OSError when the file cannot be written, and any error that ``chunks`` raises. No file is left then.
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
    """Remove a file that nothing will refer to. The ``.part-`` link goes last, so that a crash leaves it findable."""
    (folder / name).unlink(missing_ok=True)
    (folder / f"{PART}{name}").unlink(missing_ok=True)


def _fitting(head: bytes, takes: frozenset[str]) -> str:
    extension = extension_of(head)
    if extension not in takes:
        raise UnfitError
    return extension


async def _to_the_end(target: IO[bytes], part: Path, extension: str) -> str:
    """Name the file on a thread. When cancelled, remove the file if the thread has already named it."""
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
    """Sync the file to disk, give it its name, and sync the name (https://man7.org/linux/man-pages/man2/fsync.2.html)."""
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
