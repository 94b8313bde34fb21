"""Incoming files of a persona's media folder: whole and synced before the ledger refers to them.

A file arrives as ``.part-<name>`` and gets its final name as a second link. The first link is removed when the ledger
has decided. If a crash leaves it behind, the next start keeps the file only if the ledger refers to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar, TypeVarTuple

from daemon.ledger import Ledger
from daemon.logging.log import Log
from daemon.personas import atomic_files
from proto.perception import EXTENSIONS, VISITORS, PerceptionKind

FOLDER: Final = "media"
PART: Final = ".part-"
"""The prefix of unfinished files, the daemon's and the gateways'."""

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class TooLarge(Exception):
    """The file is larger than the limit."""


class Incoming:
    """One file that arrives in ``folder`` under a random name. Every method blocks and raises OSError."""

    def __init__(self, folder: Path, kind: PerceptionKind, extension: str, limit: int) -> None:
        self.name = f"{kind}-{secrets.token_hex(16)}{extension}"
        self._left = limit
        self._whole = folder / self.name
        self._part = folder / f"{PART}{self.name}"
        folder.mkdir(mode=0o700, exist_ok=True)
        self._descriptor: int | None = os.open(
            self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )

    def write(self, data: memoryview) -> None:
        """Add a piece. Raises TooLarge."""
        assert self._descriptor is not None
        self._left -= len(data)
        if self._left < 0:
            raise TooLarge
        while data:
            data = data[os.write(self._descriptor, data) :]

    def keep(self) -> None:
        """Sync the file, then give it its name and sync that too. Call ``unmark`` or ``drop`` afterwards."""
        assert self._descriptor is not None
        os.fsync(self._descriptor)
        self._close()
        os.link(self._part, self._whole)
        atomic_files.sync_directory(self._whole.parent)

    def unmark(self) -> None:
        """Remove the mark: the ledger refers to the file."""
        self._part.unlink(missing_ok=True)

    def drop(self) -> None:
        """Remove the file: nothing will refer to it."""
        self._close()
        # In this order, so that a file is never without its mark.
        self._whole.unlink(missing_ok=True)
        self._part.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


def unmark(folder: Path, names: Iterable[str]) -> None:
    """Remove the marks of files that an organ made or a gateway fetched: the ledger refers to them. Blocks."""
    for name in names:
        with contextlib.suppress(OSError):
            # The next start looks at a remaining mark again.
            (folder / f"{PART}{name}").unlink(missing_ok=True)


def holds_documents(folder: Path) -> bool:
    """Return whether her own files include a document; visitors' files do not count. Blocks."""
    try:
        with os.scandir(folder) as entries:
            names = (one.name for one in entries if not one.name.startswith(VISITORS))
            return any(EXTENSIONS.get(Path(name).suffix.lower()) == "document" for name in names)
    except OSError:
        return False


class Uploads:
    """The uploads in progress: at most ``at_once``, with separate threads for their disk work."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self._under_way = 0
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="upload")

    @contextlib.contextmanager
    def slot(self) -> Iterator[bool]:
        """Count one upload; yield False when there are too many already."""
        if self._under_way >= self.at_once:
            yield False
            return
        self._under_way += 1
        try:
            yield True
        finally:
            self._under_way -= 1

    async def run(self, work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        """Run on a thread. When cancelled, still wait for the thread, so that it never works on a closed file."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False)


async def remove_leftovers(root: Path, ledger: Ledger, log: Log) -> None:
    """Remove files that uploads and gateways left unfinished in a crash. ``root`` is the personas' directory."""
    parts = await asyncio.to_thread(lambda: list(root.glob(f"*/{FOLDER}/{PART}*")))
    for part in parts:
        whole = part.with_name(part.name.removeprefix(PART))
        try:
            if await asyncio.to_thread(whole.exists) and not await ledger.mentions(part.parents[1].name, whole.name):
                await asyncio.to_thread(whole.unlink)
            await asyncio.to_thread(part.unlink)
        except OSError as error:
            log.warning("media.leftover_stays", file=str(part), reason=str(error))
    if parts:
        log.info("media.leftovers_removed", files=len(parts))
