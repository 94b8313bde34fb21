"""The archive of one persona: a ZIP file whose last member tells size and SHA-256 of every other one.

``persona.json`` is her record, ``conversation.jsonl`` a line for each line of each channel, oldest first,
``fed.jsonl`` a line for each conversation that she was fed, ``reminders.jsonl`` a line for each reminder to come,
``memory/*.md`` what she knows, ``history.jsonl`` a line for each version of these files, ``instructions/*.md`` what she
is asked to do, ``media/*`` the files.
It is read with suspicion: no other names are taken, no member is larger than it says, and what its sum does not
confirm counts for nothing.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Final, Literal, Protocol

import msgspec

from proto.gateways import ChannelId
from proto.records import PersonaId

MANIFEST: Final = "manifest.json"
RECORD: Final = "persona.json"
CONVERSATION: Final = "conversation.jsonl"
FED: Final = "fed.jsonl"
HISTORY: Final = "history.jsonl"
"""Since version 3."""
REMINDERS: Final = "reminders.jsonl"
"""Missing in archives before version 3."""
MEMORY: Final = "memory/"
INSTRUCTIONS: Final = "instructions/"
MEDIA: Final = "media/"

MAX_MEMBERS: Final = 50_000
MAX_MANIFEST: Final = 32 * 1024 * 1024
MAX_RECORD: Final = 1024 * 1024
MAX_MEMORY_MEMBER: Final = 1024 * 1024
MAX_RATIO: Final = 250
"""How many bytes one byte of an archive may become: more is no text, but a bomb."""
FREE_OF_RATIO: Final = 16 * 1024 * 1024
PIECE: Final = 262_144

_NAME: Final = re.compile(
    r"persona\.json|conversation\.jsonl|fed\.jsonl|history\.jsonl|reminders\.jsonl|memory/[a-z][a-z0-9-]{0,63}\.md"
    r"|instructions/[a-z0-9][a-z0-9-]{0,63}\.md|media/[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
)
_LARGEST: Final = {RECORD: MAX_RECORD, MEMORY: MAX_MEMORY_MEMBER, INSTRUCTIONS: MAX_MEMORY_MEMBER}
_END, _LOCATOR, _RECORD = 22, 20, 56
"""Bytes in the end record of a ZIP file, and in the two before it in a large one (APPNOTE.TXT 4.3.14 to 4.3.16)."""
_TAIL: Final = _RECORD + _LOCATOR + _END
_MAX_DIRECTORY: Final = MAX_MEMBERS * 400
_BROKEN: Final = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error, ValueError),
    *(OverflowError, IndexError, KeyError, OSError),
)
"""What the standard library raises for archives that somebody bent; OSError for a place before the file's beginning."""


class ArchiveError(ValueError):
    """This is no archive of a persona, or a damaged one; the text says what is wrong."""


class Member(msgspec.Struct, frozen=True):
    """One file of the archive; ``size`` in bytes, ``sha256`` in hex."""

    name: str
    size: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive holds. ``consolidated`` counts the first lines of the conversation that her memory holds.

    ``open_channels`` are the ids of those of her record that everybody may write on. ``version`` says which form the
    conversation's lines have (``daemon/archives/lines.py``); an earlier daemon refuses the archive of a later one.
    """

    format: Literal["personad-archive"] = "personad-archive"
    version: Literal[1, 2, 3] = 3
    id: PersonaId
    name: str
    exported_at: str
    secrets: bool
    consolidated: Annotated[int, msgspec.Meta(ge=0)]
    open_channels: list[ChannelId] = []
    members: Annotated[list[Member], msgspec.Meta(max_length=MAX_MEMBERS)]


class Sink(Protocol):
    """Where the bytes of a member go."""

    def write(self, data: bytes, /) -> object:
        """Take one piece."""


class Archive:
    """An archive that was opened and whose directory was checked; the members' bytes are checked as they are read."""

    def __init__(self, packed: zipfile.ZipFile, manifest: Manifest) -> None:
        self.manifest = manifest
        self._packed = packed

    def copy(self, member: Member, sink: Sink) -> None:
        """Hand a member to ``sink``, and raise ArchiveError at its end unless it was what the manifest says."""
        digest, size = hashlib.sha256(), 0
        for piece in self._pieces(member.name):
            size += len(piece)
            if size > member.size:
                break
            digest.update(piece)
            sink.write(piece)
        if size != member.size or digest.hexdigest() != member.sha256:
            raise ArchiveError(f"{member.name} is damaged: it is not what the manifest says")

    def record(self) -> bytes:
        """Her record."""
        pieces: list[bytes] = []
        for member in self.manifest.members:
            if member.name == RECORD:
                self.copy(member, _Kept(pieces))
        return b"".join(pieces)

    def verify(self) -> None:
        """Read everything; raises ArchiveError for the first member that is damaged."""
        for member in self.manifest.members:
            self.copy(member, _NOWHERE)

    def _pieces(self, name: str) -> Iterator[bytes]:
        try:
            with self._packed.open(name) as stream:
                while piece := stream.read(PIECE):
                    yield piece
        except _BROKEN as error:
            raise ArchiveError(f"{name} is damaged: {error}") from error


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open an archive and check its directory against its manifest. Raises ArchiveError, OSError."""
    with path.open("rb") as file:
        _check_tail(file)
        try:
            packed = zipfile.ZipFile(file)
        except _BROKEN as error:
            raise ArchiveError(f"this is no ZIP file, or a damaged one: {error}") from error
        with packed:
            yield Archive(packed, _manifest(packed))


def _check_tail(file: IO[bytes]) -> None:
    """Look how large the directory is before the standard library reads it whole."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _TAIL))
    data = file.read(_TAIL)
    file.seek(0)
    end, locator, record = data[-_END:], data[-_END - _LOCATOR : -_END], data[: -_END - _LOCATOR]
    if len(end) < _END or not end.startswith(b"PK\5\6") or not end.endswith(b"\0\0"):
        raise ArchiveError(
            "this is no archive that personad wrote: it does not end as one does; perhaps it was cut off"
        )
    directory = int.from_bytes(end[12:16], "little")
    if locator.startswith(b"PK\6\7"):
        if int.from_bytes(locator[8:16], "little") != size - _TAIL:
            raise ArchiveError("this is no archive that personad wrote: something stands before it or in it")
        directory = int.from_bytes(record[40:48], "little")
    if directory > _MAX_DIRECTORY:
        raise ArchiveError(f"this is no archive that personad wrote: it has more than {MAX_MEMBERS} members")


def _manifest(packed: zipfile.ZipFile) -> Manifest:
    """Raise ArchiveError unless manifest and directory speak of the same members, each within its bounds."""
    found = {info.filename: info for info in packed.infolist()}
    if len(found) != len(packed.infolist()):
        raise ArchiveError("two members have one name")
    if MANIFEST not in found or found[MANIFEST].file_size > MAX_MANIFEST:
        raise ArchiveError(f"there is no {MANIFEST}: this is no archive of a persona")
    for info in found.values():
        _check_member(info)
    try:
        manifest = msgspec.json.decode(packed.read(MANIFEST), type=Manifest)
    except _BROKEN as error:
        raise ArchiveError(f"{MANIFEST} cannot be read: {error}") from error
    named = {member.name: member for member in manifest.members}
    if named.keys() != found.keys() - {MANIFEST} or len(named) != len(manifest.members):
        raise ArchiveError(f"{MANIFEST} does not name exactly the files that are there")
    if missing := {RECORD, CONVERSATION, FED, *([HISTORY] if manifest.version > 2 else [])} - named.keys():
        raise ArchiveError(f"there is no {' and no '.join(sorted(missing))}")
    for name, member in named.items():
        folder = name[: name.find("/") + 1] or name
        if not _NAME.fullmatch(name) or member.size > _LARGEST.get(folder, member.size):
            raise ArchiveError(f"{_shown(name)} is no file of a persona, or too large for one")
        if member.size != found[name].file_size:
            raise ArchiveError(f"{name} is damaged: it is not what the manifest says")
    return manifest


def _check_member(info: zipfile.ZipInfo) -> None:
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError(f"{_shown(info.filename)} is packed in a way that personad does not use")
    if info.file_size > FREE_OF_RATIO + MAX_RATIO * info.compress_size:
        raise ArchiveError(f"{_shown(info.filename)} is packed too tightly to be what it says")


def _shown(name: str) -> str:
    return repr(name if len(name) <= 100 else name[:100] + "...")


class _Kept:
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def write(self, data: bytes) -> None:
        self._pieces.append(data)


class _Nowhere:
    def write(self, data: bytes) -> None:
        """Nothing is kept."""


_NOWHERE: Final = _Nowhere()
