"""Restore: a persona comes back from her archive, all of her or nothing, whatever happens on the way.

Until she is whole she stands in the place of a deleted persona, whom the next start would remove: a daemon that is
killed leaves nothing of her. One rename makes her visible.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import msgspec

from daemon.archives.archive import (
    CONVERSATION,
    FED,
    HISTORY,
    RECORD,
    REMINDERS,
    Archive,
    ArchiveError,
    Manifest,
    Member,
    opened,
)
from daemon.archives.lines import FORMS, as_today
from daemon.channels.new_channel import NewChannel
from daemon.channels.service import ChannelService
from daemon.ledger import ArchivedLine, ArchivedVersion, FedConversation, Ledger, LedgerError, Reminder, Why
from daemon.ledger.memory_history import changed
from daemon.logging.log import Log
from daemon.personas import atomic_files
from daemon.personas.channel_records import id_of
from daemon.personas.instructions import Instructions
from daemon.personas.personas import CONFIG, Personas, read_memory
from daemon.reminders.archived import ArchivedReminder, NotRestored, restored
from daemon.reminders.service import MOST
from daemon.runtime.kept_clock import KeptClock
from daemon.runtime.tasks import carried_through
from proto.gateways import GatewayType, Identified
from proto.records import Channel, Persona, PersonaName, from_json, require_hours, require_providers, to_json
from proto.secrets import Secret
from proto.unicode_text import valid_json

T = TypeVar("T", bound=msgspec.Struct)
Identify: TypeAlias = Callable[[GatewayType, Secret], Awaitable[Identified]]

BATCH: Final = 200
"""Lines of a conversation in one transaction, so that others do not wait long for the disk."""
FED_BATCH: Final = 20
"""Fed conversations in one transaction: each may have many lines."""
MAX_LINE: Final = 8 * 1024 * 1024
MARGIN: Final = 64 * 1024 * 1024
"""Bytes that stay free on the disk."""
WEB: Final = "web"
_FOLDERS: Final = ("memory", "instructions", "media")
RESTORE_FOLDER: Final = "restore-"
"""What the folders in the state directory begin with that hold archives on their way."""
RESTORED: Final[dict[str, GatewayType]] = {"telegram": "telegram", "discord": "discord"}
"""The channels that come back with her; open ones are created again, with the operator's settings."""


class NoRoom(RuntimeError):
    """The disk has not the room that she needs."""


class Restored(msgspec.Struct, frozen=True):
    """Who came back; ``left_out`` says in words what of her did not."""

    persona: Persona
    lines: int
    left_out: list[str]


class Restorer:
    """Makes personas from archives.

    ``identify`` asks a provider whose bot a token is.
    """

    def __init__(
        self,
        *,
        personas: Personas,
        instructions: Instructions,
        ledger: Ledger,
        channels: ChannelService,
        identify: Identify,
        clock: KeptClock,
        log: Log,
    ) -> None:
        self._personas = personas
        self._instructions = instructions
        self._clock = clock
        self._ledger = ledger
        self._channels = channels
        self._identify = identify
        self._clock = clock
        self._log = log

    async def restore(self, path: Path, name: PersonaName | None, *, new_id: bool) -> Restored:
        """Make her. Raises ArchiveError, IdTaken, NoRoom, LedgerError, OSError, PersonasError."""
        with ExitStack() as stack:
            archive = await asyncio.to_thread(lambda: stack.enter_context(opened(path)))
            return await self._from(archive, name, new_id=new_id)

    async def _from(self, archive: Archive, name: PersonaName | None, *, new_id: bool) -> Restored:
        left_out: list[str] = []
        persona = await asyncio.to_thread(_record, archive)
        old_id = persona.id
        persona.id = str(uuid.uuid4()) if new_id else old_id
        persona.name = name or persona.name
        folder = await self._personas.lay_out(persona.id)
        try:
            # What an earlier try left behind that a full disk kept from being undone.
            await self._ledger.forget(persona.id)
            await asyncio.to_thread(_unpack, archive, folder)
            lines = await self._converse(persona.id, old_id, folder / CONVERSATION, archive.manifest)
            await self._remember_fed(persona.id, folder / FED)
            await self._remember_versions(persona.id, folder)
            left_out += await self._remind(persona.id, old_id, folder / REMINDERS)
            identified = await self._identified(persona.channels or [], archive.manifest.open_channels, left_out)
            if not archive.manifest.secrets:
                left_out.append("keys and tokens, which the archive does not hold; give them again")
            refused = await self._channels.bring_back(
                persona, [new for _, new in identified], lambda whole: self._put_in_place(folder, whole)
            )
            left_out += [
                _left_out(channel, f"its bot belongs to {error.owner} here")
                for channel, new in identified
                for other, error in refused
                if other is new
            ]
        except BaseException:
            if self._personas.get(persona.id) is None:
                await self._undo(persona.id)
            raise
        return Restored(persona, lines, left_out)

    async def _undo(self, persona_id: str) -> None:
        try:
            await self._ledger.forget(persona_id)
        except LedgerError as error:
            self._log.error("persona.restore_left", persona=persona_id, reason=str(error))
            self._personas.leave(persona_id)
        else:
            await self._personas.remove_deleted(persona_id)

    async def _put_in_place(self, folder: Path, persona: Persona) -> None:
        """Once the last step is begun it is carried through, also when the daemon leaves."""
        await asyncio.to_thread(_complete, folder, persona)
        await carried_through(self._personas.adopt(persona))
        await self._instructions.reload(persona.id)

    async def _converse(self, persona_id: str, old_id: str, file: Path, manifest: Manifest) -> int:
        """Put her lines into the ledger; those that her memory holds are not consolidated once more."""
        ledger, total = self._ledger, 0
        written = _decoded(file, FORMS[manifest.version])
        lines = (_moved(as_today(line), old_id, persona_id) for line in written)
        while batch := await asyncio.to_thread(lambda: list(islice(lines, BATCH))):
            done = batch[: max(0, manifest.consolidated - total)]
            for part in filter(None, (done, batch[len(done) :])):
                last = await ledger.put_back(persona_id, part)
                if part is done:
                    await ledger.consolidated(persona_id, last)
            total += len(batch)
        return total

    async def _identified(
        self, channels: list[Channel], opened: list[str], left_out: list[str]
    ) -> list[tuple[Channel, NewChannel]]:
        """Ask the providers whose bots these are; ``left_out`` gets what cannot be used any more."""
        identified = []
        for channel in channels:
            token = channel.credentials.get("token")
            if token is None:
                left_out.append(_left_out(channel, "the archive holds no token for it"))
                continue
            kind = RESTORED.get(channel.type)
            if kind is None or id_of(channel) in opened:
                left_out.append(_left_out(channel, "it was made at /v1/channels: make it there again"))
                continue
            bot = await self._identify(kind, token)
            if bot.reason:
                left_out.append(_left_out(channel, bot.reason))
            else:
                identified.append((channel, NewChannel(type=kind, token=token, bot=bot, id=id_of(channel) or "")))
        return identified

    async def _remember_fed(self, persona_id: str, file: Path) -> None:
        """What she was fed is not fed again."""
        fed = _decoded(file, FedConversation)
        while batch := await asyncio.to_thread(lambda: list(islice(fed, FED_BATCH))):
            await self._ledger.put_back_fed(persona_id, batch)

    async def _remember_versions(self, persona_id: str, folder: Path) -> None:
        """Her memory files get their history back; what it does not end with, or has nothing of, begins here."""
        if (file := folder / HISTORY).exists():
            versions = _decoded(file, ArchivedVersion)
            while batch := await asyncio.to_thread(lambda: list(islice(versions, BATCH))):
                await self._ledger.put_back_versions(persona_id, batch)
        memory, unread = await asyncio.to_thread(read_memory, folder, self._log)
        known = await self._ledger.memory_digests(persona_id) or {}
        differs = changed(known, memory, unread)
        await self._ledger.note_memory(persona_id, differs, Why("restored"), self._clock.time_ns())

    async def _remind(self, persona_id: str, old_id: str, file: Path) -> list[str]:
        """Put back the reminders that are to come, and return in words those that are not."""
        now, left_out, rows = self._clock.present_ns(), list[str](), list[Reminder]()
        for one in await asyncio.to_thread(_to_come, file):
            try:
                rows.append(restored(one, persona_id, old_id, now))
            except NotRestored as error:
                left_out.append(f"the reminder {one.body[:40]!r}: {error}")
        await self._ledger.put_back_reminders(rows)
        return left_out


def _to_come(file: Path) -> list[ArchivedReminder]:
    """Blocks; raises ArchiveError, OSError."""
    return list(islice(_decoded(file, ArchivedReminder), MOST)) if file.exists() else []


def _left_out(channel: Channel, reason: str) -> str:
    return f"the {channel.type} channel {channel.name}: {reason}"


def _record(archive: Archive) -> Persona:
    """Raise ArchiveError for a record that is none, NoRoom when the disk is too small for all of her."""
    try:
        persona = from_json(archive.record(), Persona)
        require_providers(persona)
        require_hours(persona)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ArchiveError(f"{RECORD} cannot be read: {error}") from error
    if persona.id != archive.manifest.id:
        raise ArchiveError(f"{RECORD} is another persona's than the manifest says")
    return persona


def _unpack(archive: Archive, folder: Path) -> None:
    """Write every member, each checked against its sum. Raises ArchiveError, NoRoom, OSError."""
    members = [member for member in archive.manifest.members if member.name != RECORD]
    # What was said and known is written into the ledger, too, and stands there in its log for a while.
    kept_twice = (CONVERSATION, FED, HISTORY)
    wanted = MARGIN + sum(3 * member.size if member.name in kept_twice else member.size for member in members)
    if wanted > shutil.disk_usage(folder).free:
        raise NoRoom(f"she needs {wanted} bytes on the disk: free some space")
    for part in _FOLDERS:
        (folder / part).mkdir(mode=0o700)
    for member in members:
        _write(archive, member, folder / member.name)


def _write(archive: Archive, member: Member, path: Path) -> None:
    # The name was checked: a bare file name, perhaps in one of the two folders.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        archive.copy(member, file)
        file.flush()
        os.fsync(descriptor)


def _complete(folder: Path, persona: Persona) -> None:
    """What only served the way goes, her record comes, and the names are durable."""
    for name in (CONVERSATION, FED, HISTORY, REMINDERS):
        (folder / name).unlink(missing_ok=True)
    atomic_files.write(folder / CONFIG, msgspec.json.format(to_json(persona), indent=2) + b"\n")
    for part in _FOLDERS:
        atomic_files.sync_directory(folder / part)


def _moved(line: ArchivedLine, old_id: str, new_id: str) -> ArchivedLine:
    """What was said on her own web channel is said on that of her new id."""
    if (line.channel.type, line.channel.name) != (WEB, old_id):
        return line
    return msgspec.structs.replace(line, channel=msgspec.structs.replace(line.channel, name=new_id))


def _decoded(file: Path, kind: type[T]) -> Iterator[T]:
    """The lines of a file. Blocks; raises ArchiveError, OSError."""
    decoder = msgspec.json.Decoder(kind)
    with file.open("rb") as stream:
        for number, raw in enumerate(iter(lambda: stream.readline(MAX_LINE), b""), start=1):
            try:
                yield decoder.decode(valid_json(raw))
            except (msgspec.DecodeError, RecursionError) as error:
                raise ArchiveError(f"{file.name}, line {number}: {error}") from error
