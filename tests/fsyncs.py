"""What is synced to the disk, and what stands there at that moment."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest import mock


class Sync(NamedTuple):
    """One call of ``os.fsync``: of a folder, with the names in it, or of a file of ``size`` bytes."""

    path: Path
    is_folder: bool
    size: int
    names: frozenset[str]


@contextmanager
def recorded() -> Iterator[list[Sync]]:
    """Record every ``os.fsync`` of this process, each of which still happens."""
    syncs: list[Sync] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        found = os.fstat(descriptor)
        is_folder = stat.S_ISDIR(found.st_mode)
        folder = path if is_folder else path.parent
        syncs.append(Sync(path, is_folder, found.st_size, frozenset(one.name for one in folder.iterdir())))
        fsync(descriptor)

    with mock.patch.object(os, "fsync", record):
        yield syncs


def assert_durable(syncs: list[Sync], file: Path, size: int, *, replaced: bool = False) -> None:
    """The file's bytes were synced before it had its name (or the old one lost it), and then its name was.

    https://man7.org/linux/man-pages/man2/fsync.2.html: syncing a file does not make its directory entry durable.
    """
    content, name = syncs
    assert (content.is_folder, content.path.parent, content.size) == (False, file.parent, size)
    assert content.path.name != file.name
    assert (file.name in content.names) == replaced
    assert (name.is_folder, name.path) == (True, file.parent)
    assert file.name in name.names
    assert file.stat().st_size == size
