"""Files on their way into a persona's media folder: whole and synced there before the ledger speaks of them.

A file arrives as ``.part-<name>`` and gets its name as a second link. The first link goes when the ledger has decided;
one that a crash left behind marks a file in doubt, which the next start keeps only if the ledger speaks of it.
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
"""What the names of unfinished files begin with, ours and those of the gateways."""

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class TooLarge(Exception):
    """The file is over the limit."""


class Incoming:
    """One file that arrives in ``folder``, under a name of our own. Everything here blocks, and raises OSError."""

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
        """Give the file its name once all of it is on the disk, and the name too. Then ``unmark`` or ``drop``."""
        assert self._descriptor is not None
        os.fsync(self._descriptor)
        self._close()
        os.link(self._part, self._whole)
        atomic_files.sync_directory(self._whole.parent)

    def unmark(self) -> None:
        """The ledger speaks of it."""
        self._part.unlink(missing_ok=True)

    def drop(self) -> None:
        """Nobody will speak of it."""
        self._close()
        # In this order: while the file is there, its mark is.
        self._whole.unlink(missing_ok=True)
        self._part.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


def unmark(folder: Path, names: Iterable[str]) -> None:
    """The ledger speaks of these files, which an organ made or a gateway fetched. Blocks."""
    for name in names:
        with contextlib.suppress(OSError):
            # A mark that stays is looked at again at the next start.
            (folder / f"{PART}{name}").unlink(missing_ok=True)


def holds_documents(folder: Path) -> bool:
    """Whether there is a document among her files. Blocks."""
    try:
        with os.scandir(folder) as entries:
            names = (one.name for one in entries if not one.name.startswith(VISITORS))
            return any(EXTENSIONS.get(Path(name).suffix.lower()) == "document" for name in names)
    except OSError:
        return False


class Uploads:
    """The uploads under way: at most ``at_once``, their disk work on threads of their own."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self._under_way = 0
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="upload")

    @contextlib.contextmanager
    def slot(self) -> Iterator[bool]:
        """Count one upload; False when there are enough already."""
        if self._under_way >= self.at_once:
            yield False
            return
        self._under_way += 1
        try:
            yield True
        finally:
            self._under_way -= 1

    async def run(self, work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        """Run on a thread. When cancelled this still waits for the thread, so that nothing works on a closed file."""
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
    """Remove what uploads and gateways left unfinished when the daemon was killed; ``root`` holds the personas."""
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
