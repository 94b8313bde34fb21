"""A request's file that is read once and then removed: an export to feed, or an archive to restore."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from daemon.personas.media import PART, TooLarge


class Spool:
    """One such file in ``folder``, of at most ``limit`` bytes. Every method blocks and raises OSError.

    It need not survive a crash, so nothing is synced. The next start removes what a crash leaves.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.path = folder / f"{PART}{secrets.token_hex(16)}"
        self._folder = folder
        self._limit = limit
        self._left = limit
        self._descriptor: int | None = None
        self._begun = False

    def begin(self, _filename: str) -> Spool:
        """Open it empty. If a request holds two files of this name, the last one counts."""
        self.close()
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._begun = True
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self.path, flags, 0o600)
        self._left = self._limit
        return self

    def write(self, data: memoryview) -> None:
        """Add a piece. Raises TooLarge."""
        assert self._descriptor is not None
        self._left -= len(data)
        if self._left < 0:
            raise TooLarge
        while data:
            data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Close the complete file."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def drop(self) -> None:
        """Remove it, and its folder if that is empty."""
        if not self._begun:
            return
        self.close()
        self.path.unlink(missing_ok=True)
        with suppress(OSError):
            self._folder.rmdir()


def clear(folders: Iterable[Path]) -> None:
    """Remove what a crash left in these folders. Blocks."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
