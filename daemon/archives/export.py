"""Export: one persona as an archive (see ``daemon/archives/archive.py``), written piece by piece while she lives on."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import time
import zipfile
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import IO, Final

import msgspec

from daemon.archives.archive import (
    CONVERSATION,
    FED,
    HISTORY,
    INSTRUCTIONS,
    MANIFEST,
    MAX_MEMBERS,
    MAX_MEMORY_MEMBER,
    MEDIA,
    MEMORY,
    PIECE,
    RECORD,
    REMINDERS,
    Manifest,
    Member,
)
from daemon.ledger import Ledger
from daemon.personas import atomic_files
from daemon.personas.instruction_files import NAME as INSTRUCTION
from daemon.personas.media import FOLDER
from daemon.personas.personas import MEMORY_FILE
from daemon.reminders.archived import archived
from daemon.runtime.clock import Clock
from proto.records import ORGANS, Organ, Persona, to_json
from proto.texts import MediaName

LINES: Final = 100
"""Lines of her conversation, or versions of her memory files, in one page, at up to some 100 kB each."""


class TooManyFiles(RuntimeError):
    """She has more files than an archive may hold."""


class Export:
    """One archive on its way to the client that asked for it."""

    def __init__(self, persona: Persona, folder: Path, ledger: Ledger, clock: Clock, *, secrets: bool) -> None:
        self._persona = persona if secrets else without_secrets(persona)
        self._folder = folder
        self._ledger = ledger
        self._clock = clock
        self._secrets = secrets
        self._pack = _Pack()
        self._memory: list[str] = []
        self._instructions: list[str] = []
        self._media: list[str] = []

    async def prepare(self) -> None:
        """Look which files there are. Raises OSError, TooManyFiles."""
        self._memory, self._instructions, self._media = await asyncio.to_thread(self._list)
        if len(self._memory) + len(self._instructions) + len(self._media) > MAX_MEMBERS - 5:
            raise TooManyFiles(f"she has more than {MAX_MEMBERS - 5} files")

    async def pieces(self) -> AsyncIterator[bytes]:
        """The archive's bytes, a few at a time. Raises OSError, LedgerError: what was sent then is no archive."""
        pack = self._pack
        record = msgspec.json.format(to_json(self._persona), indent=2) + b"\n"
        yield await asyncio.to_thread(pack.add, RECORD, record)
        channels = await self._ledger.channels_of(self._persona.id, self._clock.time_ns())
        consolidated = 0
        after: int | None = 0
        up_to: int | None = None
        pack.begin(CONVERSATION, zipfile.ZIP_DEFLATED)
        while after is not None:
            page = await self._ledger.archive(self._persona.id, after, LINES, up_to)
            after, up_to, consolidated = page.last, page.up_to, consolidated + page.consolidated
            yield await asyncio.to_thread(
                pack.write, b"".join(msgspec.json.encode(line) + b"\n" for line in page.lines)
            )
        pack.end()
        fed = await self._ledger.fed(self._persona.id)
        pack.begin(FED, zipfile.ZIP_DEFLATED)
        for one in fed:
            whole = await self._ledger.fed_lines(self._persona.id, one)
            yield await asyncio.to_thread(pack.write, msgspec.json.encode(whole) + b"\n")
        pack.end()
        async for piece in self._history():
            yield piece
        rows = [archived(row) for row in await self._ledger.reminders(self._persona.id)]
        yield await asyncio.to_thread(pack.add, REMINDERS, b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
        for member in (
            *(MEMORY + name for name in self._memory),
            *(INSTRUCTIONS + name for name in self._instructions),
        ):
            text = await asyncio.to_thread(atomic_files.read, self._folder / member, MAX_MEMORY_MEMBER)
            yield await asyncio.to_thread(pack.add, member, text)
        for name in self._media:
            async for piece in self._file(name):
                yield piece
        manifest = Manifest(
            id=self._persona.id,
            name=self._persona.name,
            exported_at=datetime.now().astimezone().isoformat(timespec="seconds"),
            secrets=self._secrets,
            consolidated=consolidated,
            open_channels=[row.channel for row in channels if row.open],
            members=pack.members,
        )
        encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
        yield await asyncio.to_thread(pack.close, encoded)

    async def _history(self) -> AsyncIterator[bytes]:
        """Every version of her memory files: so alike that, packed, they would look like a bomb to a restore."""
        self._pack.begin(HISTORY, zipfile.ZIP_STORED)
        after, versions = await self._ledger.archived_versions(self._persona.id, 0, LINES)
        while versions:
            yield await asyncio.to_thread(
                self._pack.write, b"".join(msgspec.json.encode(one) + b"\n" for one in versions)
            )
            after, versions = await self._ledger.archived_versions(self._persona.id, after, LINES)
        self._pack.end()

    def _list(self) -> tuple[list[str], list[str], list[str]]:
        memory = [path.name for path in self._folder.glob("memory/*") if MEMORY_FILE.fullmatch(path.name)]
        # Links are left out, as her mind is not told of what they lead to.
        folder = self._folder / INSTRUCTIONS
        orders = [] if folder.is_symlink() else [path for path in folder.glob("*") if INSTRUCTION.fullmatch(path.name)]
        told = [path.name for path in orders if _is_small_file(path)]
        # Other names are unfinished files, or not ours.
        found = (path for path in self._folder.glob(f"{FOLDER}/*") if _is_media_name(path.name))
        media = [path.name for path in found if stat.S_ISREG(path.lstat().st_mode)]
        return sorted(memory), sorted(told), sorted(media)

    async def _file(self, name: str) -> AsyncIterator[bytes]:
        path = self._folder / FOLDER / name
        descriptor = await asyncio.to_thread(os.open, path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            # Pictures and recordings are compressed already.
            self._pack.begin(MEDIA + name, zipfile.ZIP_STORED)
            while data := await asyncio.to_thread(os.read, descriptor, PIECE):
                yield await asyncio.to_thread(self._pack.write, data)
            self._pack.end()
        finally:
            os.close(descriptor)


def without_secrets(persona: Persona) -> Persona:
    """Return her record without keys and tokens."""
    organs = {name: _keyless(getattr(persona, name)) for name in ("thinking", *ORGANS)}
    channels = [msgspec.structs.replace(channel, credentials={}) for channel in persona.channels or []] or None
    return msgspec.structs.replace(persona, **organs, channels=channels)


def _keyless(organ: Organ | None) -> Organ | None:
    return organ and msgspec.structs.replace(organ, api_key=None)


def _is_small_file(path: Path) -> bool:
    found = path.lstat()
    return stat.S_ISREG(found.st_mode) and found.st_size <= MAX_MEMORY_MEMBER


def _is_media_name(name: str) -> bool:
    try:
        msgspec.convert(name, MediaName)
    except msgspec.ValidationError:
        return False
    return True


class _Pack:
    """A ZIP file that grows in memory and is taken out as it grows; everything but ``begin`` and ``end`` blocks."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self._buffer = _Buffer()
        self._packed = zipfile.ZipFile(self._buffer, "w")
        self._name = ""
        self._size = 0
        self._digest = hashlib.sha256()
        self._member: IO[bytes] | None = None

    def begin(self, name: str, compression: int) -> None:
        """Begin a member."""
        info = zipfile.ZipInfo(name, time.localtime()[:6])
        info.compress_type, info.external_attr = compression, 0o600 << 16
        self._name, self._size, self._digest = name, 0, hashlib.sha256()
        self._member = self._packed.open(info, "w", force_zip64=True)

    def write(self, data: bytes) -> bytes:
        """Add to the member, and return what is ready to be sent."""
        self._put(data)
        return self._buffer.take()

    def end(self) -> None:
        """The member is whole."""
        assert self._member is not None
        self._member.close()
        self.members.append(Member(self._name, self._size, self._digest.hexdigest()))

    def add(self, name: str, data: bytes) -> bytes:
        """Add a whole member, and return what is ready to be sent."""
        self.begin(name, zipfile.ZIP_DEFLATED)
        self._put(data)
        self.end()
        return self._buffer.take()

    def close(self, manifest: bytes) -> bytes:
        """Add the manifest and the directory, and return what is left to be sent."""
        self._packed.writestr(MANIFEST, manifest, zipfile.ZIP_DEFLATED)
        self._packed.close()
        return self._buffer.take()

    def _put(self, data: bytes) -> None:
        self._size += len(data)
        self._digest.update(data)
        assert self._member is not None
        self._member.write(data)


class _Buffer:
    """What ZipFile writes to a stream that cannot seek."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """What is not taken yet stays."""

    def take(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data
