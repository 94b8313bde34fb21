"""The archive of an export: its members are read as streams, and nothing is ever unpacked to disk.

Archives come from strangers' machines, so anything that no honest archive has is refused before it is read: an
oversized directory, a member that unpacks to hundreds of times its size, members that overlap or are encrypted.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, cast

from worker.history.imported import HistoryError

MAX_MEMBERS: Final = 50_000
MAX_DIRECTORY: Final = 8 * 1024 * 1024
"""Bytes: what 50,000 members with names of a hundred characters need."""

MAX_RATIO: Final = 200
"""Conversations compress by a factor of 4 to 20; deflate's limit is 1,032 (https://zlib.net/zlib_tech.html)."""

SMALL: Final = 1024 * 1024
"""Bytes. A member that unpacks to no more than this may have any ratio."""

_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MAGIC: Final = (b"PK\x03\x04", b"PK\x05\x06")

_END: Final = struct.Struct("<4s4H2LH")
_LOCATOR: Final = struct.Struct("<4sLQL")
_END_64: Final = struct.Struct("<4sQ2H2L4Q")
_LONGEST_COMMENT: Final = 0xFFFF


class DamagedError(HistoryError):
    """A member does not unpack to what the archive's directory says."""


def is_archive(head: bytes) -> bool:
    """Return whether a file that begins with ``head`` is a zip archive."""
    return head.startswith(_MAGIC)


class Archive:
    """An open zip file. Raises HistoryError when it is broken or hostile."""

    def __init__(self, file: BinaryIO) -> None:
        _check_directory(file)
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise HistoryError(f"the archive cannot be read: {error}") from error
        if len(self._zip.infolist()) > MAX_MEMBERS:
            raise HistoryError(f"the archive has more than {MAX_MEMBERS} members")
        self._size = file.seek(0, os.SEEK_END)

    def members(self) -> list[zipfile.ZipInfo]:
        """Return all members that are files, sorted by name. Names are only compared, never used as paths."""
        named = (info for info in self._zip.infolist() if info.filename and not info.is_dir())
        return sorted(named, key=lambda info: info.filename)

    def check(self, chosen: list[zipfile.ZipInfo]) -> None:
        """Raise HistoryError when one of these members cannot come from a provider's export."""
        end = 0
        for info in sorted(chosen, key=lambda info: info.header_offset):
            if info.flag_bits & _ENCRYPTED:
                raise HistoryError("the archive is encrypted: unpack it with its password, and feed the file inside")
            if info.compress_type not in _METHODS:
                raise HistoryError("the archive is packed by an unusual method: unpack it, and feed the file inside")
            if info.file_size > max(SMALL, info.compress_size * MAX_RATIO):
                raise HistoryError(f"the archive would unpack to more than {MAX_RATIO} times its size")
            if info.header_offset < end or info.header_offset + info.compress_size > self._size:
                raise HistoryError("the archive is broken: its members overlap")
            end = info.header_offset + info.compress_size

    @contextmanager
    def open(self, info: zipfile.ZipInfo) -> Iterator[Member]:
        """Open a member that ``check`` has accepted. Raises HistoryError when it cannot be opened."""
        try:
            file = cast("zipfile.ZipExtFile", self._zip.open(info))
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise HistoryError(f"the archive cannot be read: {error}") from error
        with file:
            yield Member(file, info.file_size)


class Member:
    """A member as a stream of exactly as many bytes as the directory says."""

    def __init__(self, file: zipfile.ZipExtFile, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, none at the end. Raises DamagedError when the member is damaged."""
        try:
            data: bytes = self._file.read(size)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise DamagedError(f"the archive is damaged: {error}") from error
        self._left -= len(data)
        if not data and self._left:
            raise DamagedError("the archive is damaged: a member is shorter than its directory says")
        return data


def _check_directory(file: BinaryIO) -> None:
    """Refuse a directory that is too large, because zipfile would read all of it into memory.

    Reads the end record, the locator before it, and the end record of Zip64 (sections 4.3.16, 4.3.15 and 4.3.14 of
    https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT).
    """
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - _LONGEST_COMMENT - _END.size)
    file.seek(start)
    tail = file.read()
    at = len(tail) - _END.size
    if at < 0 or not (tail.startswith(_MAGIC[1], at) and tail.endswith(b"\0\0")):
        at = tail.rfind(_MAGIC[1])
    if at < 0 or len(tail) - at < _END.size:
        raise HistoryError("the archive is broken: its end is missing")
    _, _, _, _, members, directory, _, _ = _END.unpack_from(tail, at)
    if at >= _LOCATOR.size and tail.startswith(b"PK\x06\x07", at - _LOCATOR.size):
        file.seek(max(0, start + at - _LOCATOR.size - _END_64.size))
        record = file.read(_END_64.size)
        if len(record) == _END_64.size and record.startswith(b"PK\x06\x06"):
            *_, members, directory, _ = _END_64.unpack(record)
    if members > MAX_MEMBERS or directory > MAX_DIRECTORY:
        raise HistoryError(f"the archive has more than {MAX_MEMBERS} members")
