"""The personas on disk: config.json and memory/*.md, written atomically, editable by hand and watched.

The process always holds the last valid state of the disk. A valid edit by hand takes effect at once. An invalid one is
reported exactly and changes nothing.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from daemon.logging.log import Log
from daemon.personas import atomic_files
from proto.messages import Memory
from proto.records import Persona, from_json, require_hours, require_providers, to_json

CONFIG: Final = "config.json"
REJECTED: Final = "config.rejected.json"
"""The last config.json with a fault that a command has replaced, so that the edit in it is not lost."""
MAX_CONFIG: Final = 1024 * 1024
MAX_MEMORY_FILE: Final = 64 * 1024
MAX_MEMORY_FILES: Final = 32
MEMORY_FOLDER: Final = "memory"

MEMORY_FILE: Final = re.compile(r"[a-z][a-z0-9-]{0,63}\.md")
_DELETED: Final = ".deleted-"


class PersonasError(RuntimeError):
    """Reading from or writing to the disk failed; the text says what."""


class MemoryChanged(PersonasError):
    """Her memory was edited by hand while her mind worked on it. The edit was not overwritten."""


class IdTaken(RuntimeError):
    """A persona with this id exists, or is being removed or restored; the text says which."""


class Personas:
    """Every persona of this daemon, under ``root``."""

    def __init__(self, root: Path, log: Log) -> None:
        self._root = root
        self._log = log
        self._personas: dict[str, Persona] = {}
        self._memories: dict[str, Memory] = {}
        self._unread: dict[str, frozenset[str]] = {}
        self._faults: dict[str, str] = {}
        self._being_removed: set[str] = set()
        """The ids whose folders are being removed or restored."""
        self._disk = asyncio.Lock()
        """Held while a file and its state in memory change. A read overtaken by a write would restore the old state."""

    async def load(self) -> None:
        """Read all personas."""
        for persona_id in await asyncio.to_thread(self._scan):
            await self._reload(persona_id)
            await self.reread_memory(persona_id)

    def all(self) -> list[Persona]:
        """Return all personas with a valid record, sorted by name."""
        return sorted(self._personas.values(), key=lambda persona: (persona.name, persona.id))

    def get(self, persona_id: str) -> Persona | None:
        """Return her last valid record, or None."""
        return self._personas.get(persona_id)

    def broken(self) -> dict[str, str]:
        """Return the faults of those records that were never valid: these personas are on the disk and nowhere else."""
        return {name: fault for name, fault in self._faults.items() if name not in self._personas}

    def faults(self) -> dict[str, str]:
        """Return the exact fault of each invalid config.json, by persona id (or folder name)."""
        return dict(self._faults)

    def folder(self, persona_id: str) -> Path:
        """Return her folder."""
        return self._root / persona_id

    def memory(self, persona_id: str) -> Memory:
        """Return what she knows. Do not change it in place."""
        return self._memories.get(persona_id, {})

    def unread(self, persona_id: str) -> frozenset[str]:
        """Return the names of memory files that are there and could not be read, or are too many."""
        return self._unread.get(persona_id, frozenset())

    async def create(self, persona: Persona) -> None:
        """Create her folder. config.json comes last, so a crash leaves no partial persona. Raises PersonasError."""
        await self._write(persona, fresh=True)

    async def save(self, persona: Persona) -> None:
        """Replace her record, and keep what was edited by hand since it was read. Raises PersonasError."""
        await self._write(persona, fresh=False)

    async def save_memory(
        self, persona_id: str, before: Mapping[str, str | None], memory: Mapping[str, str | None]
    ) -> None:
        """Replace these memory files, each whole; None removes one. They were made from ``before``.

        Raises MemoryChanged when one of them is no longer as in ``before``, and PersonasError.
        """
        folder = self.folder(persona_id) / MEMORY_FOLDER

        def write() -> None:
            folder.mkdir(mode=0o700, exist_ok=True)
            for name, text in memory.items():
                if text is None:
                    atomic_files.remove(folder / f"{name}.md")
                else:
                    atomic_files.write(folder / f"{name}.md", text.encode())

        async with self._disk:
            await self._reread_memory(persona_id)
            found = self.memory(persona_id)
            if unread := self.unread(persona_id) & memory.keys():
                raise PersonasError(f"{min(unread)}.md cannot be read, so it is not replaced: correct it by hand.")
            if any(found.get(name) != before.get(name) for name in memory):
                raise MemoryChanged("What she knows was edited meanwhile.")
            try:
                await asyncio.to_thread(write)
            except OSError as error:
                await self._reread_memory(persona_id)
                raise PersonasError(f"What she learned could not be written: {error}.") from error
            kept = {**found, **memory}
            self._memories[persona_id] = {name: text for name, text in kept.items() if text is not None}

    async def reread_memory(self, persona_id: str) -> None:
        """Read her memory files again: an edit by hand may not be reported yet."""
        async with self._disk:
            await self._reread_memory(persona_id)

    async def delete(self, persona_id: str) -> None:
        """Move her folder aside. From now on she is gone, even after a power cut. Raises PersonasError."""

        def put_aside() -> None:
            self.folder(persona_id).rename(self._deleted_folder(persona_id))
            atomic_files.sync_directory(self._root)

        async with self._disk:
            persona = self._personas.pop(persona_id, None)
            try:
                await asyncio.to_thread(put_aside)
            except OSError as error:
                if persona:
                    self._personas[persona_id] = persona
                raise PersonasError(f"Her folder could not be removed: {error}.") from error
            self._being_removed.add(persona_id)
            self._faults.pop(persona_id, None)
            self._memories.pop(persona_id, None)
            self._unread.pop(persona_id, None)

    async def lay_out(self, persona_id: str) -> Path:
        """Create a folder for a persona who is restored with ``adopt``. Until then the next start would remove it.

        Raises IdTaken, PersonasError.
        """
        folder = self._deleted_folder(persona_id)

        def make() -> None:
            if self.folder(persona_id).exists():
                raise IdTaken("There is a persona with this id already.")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
            atomic_files.sync_directory(self._root)

        async with self._disk:
            if persona_id in self._being_removed:
                raise IdTaken("A persona with this id is being removed or restored at this moment.")
            try:
                await asyncio.to_thread(make)
            except OSError as error:
                raise PersonasError(f"Her folder could not be made: {error}.") from error
            self._being_removed.add(persona_id)
        return folder

    def leave(self, persona_id: str) -> None:
        """Leave a deleted folder that could not be removed to the next ``lay_out`` or the next start."""
        self._being_removed.discard(persona_id)

    async def adopt(self, persona: Persona) -> None:
        """Move her complete folder into place. From now on she exists, even after a power cut. Raises PersonasError."""

        def put_in_place() -> None:
            self._deleted_folder(persona.id).rename(self.folder(persona.id))
            atomic_files.sync_directory(self._root)

        async with self._disk:
            try:
                await asyncio.to_thread(put_in_place)
            except OSError as error:
                raise PersonasError(f"Her folder could not be put in place: {error}.") from error
            self._personas[persona.id] = persona
            self._being_removed.discard(persona.id)
        await self.reread_memory(persona.id)

    async def deleted(self) -> list[str]:
        """Return the ids of deleted personas whose folders may not be removed yet."""
        return await asyncio.to_thread(
            lambda: [folder.name.removeprefix(_DELETED) for folder in self._root.glob(f"{_DELETED}*")]
        )

    async def remove_deleted(self, persona_id: str) -> None:
        """Remove the rest of a deleted persona's folder."""
        await asyncio.to_thread(shutil.rmtree, self._deleted_folder(persona_id), ignore_errors=True)
        self._being_removed.discard(persona_id)

    async def take_edits(self, paths: Iterable[Path], edited: Callable[[Persona], Awaitable[None]]) -> None:
        """Read again what changed at these paths; call ``edited`` with each changed record."""
        configs, memories = set(), set()
        for path in paths:
            parts = path.relative_to(self._root).parts
            if not parts:
                continue
            # For files created before the kernel watched their new folder, only the folder is reported
            # (https://man7.org/linux/man-pages/man7/inotify.7.html).
            if parts[1:] in ((), (CONFIG,)):
                configs.add(parts[0])
            if parts[1:] in ((), (MEMORY_FOLDER,)) or (parts[1] == MEMORY_FOLDER and MEMORY_FILE.fullmatch(parts[-1])):
                memories.add(parts[0])
        for persona_id in configs:
            if not persona_id.startswith(".") and (persona := await self._reload(persona_id)):
                self._log.info("persona.edited", persona=persona.id)
                await edited(persona)
        for persona_id in memories & self._personas.keys():
            await self.reread_memory(persona_id)

    async def take_all_edits(self, edited: Callable[[Persona], Awaitable[None]]) -> None:
        """Read everything again, after a time in which edits were not reported."""
        found = await asyncio.to_thread(self._scan)
        await self.take_edits([self.folder(name) for name in {*found, *self._personas}], edited)

    def _deleted_folder(self, persona_id: str) -> Path:
        return self._root / f"{_DELETED}{persona_id}"

    def _scan(self) -> list[str]:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folders = (path for path in self._root.iterdir() if not path.name.startswith(_DELETED))
        return sorted(folder.name for folder in folders if (folder / CONFIG).exists())

    async def _write(self, persona: Persona, fresh: bool) -> None:
        folder = self.folder(persona.id)

        def write() -> None:
            record = persona if fresh else self._with_edits(persona)
            atomic_files.write(folder / CONFIG, msgspec.json.format(to_json(record), indent=2) + b"\n")

        def make() -> None:
            made = not folder.exists()
            try:
                for part in (folder, folder / MEMORY_FOLDER, folder / "instructions", folder / "media"):
                    part.mkdir(mode=0o700, parents=True, exist_ok=True)
                write()
                atomic_files.sync_directory(self._root)
            except OSError:
                if made:
                    shutil.rmtree(folder, ignore_errors=True)
                raise

        async with self._disk:
            try:
                await asyncio.to_thread(make if fresh else write)
            except OSError as error:
                raise PersonasError(f"Her record could not be written: {error}.") from error
            self._personas[persona.id] = persona
            self._faults.pop(persona.id, None)

    def _with_edits(self, persona: Persona) -> Persona:
        """The record with those fields of the file that were edited and are not noticed yet. Blocks.

        They are not taken as known here, so that the watch notices them in what is written, and they take effect.
        """
        known = self._personas.get(persona.id)
        config = self.folder(persona.id) / CONFIG
        try:
            found = from_json(atomic_files.read(config, MAX_CONFIG), Persona)
            require_providers(found)
            require_hours(found)
        except FileNotFoundError:
            return persona
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            # A second name for the same file: at no moment is she without a config.json.
            rejected = config.with_name(REJECTED)
            rejected.unlink(missing_ok=True)
            rejected.hardlink_to(config)
            self._log.warning("persona.config_replaced", persona=persona.id, kept=REJECTED)
            return persona
        if known is None or found.id != persona.id:
            return persona
        names = (field.name for field in msgspec.structs.fields(Persona))
        ours = {name: getattr(persona, name) for name in names if getattr(persona, name) != getattr(known, name)}
        return msgspec.structs.replace(found, **ours)

    async def _reload(self, persona_id: str) -> Persona | None:
        """Read her record again; return it when it is valid and has changed."""
        async with self._disk:
            return await self._reread(persona_id)

    async def _reread(self, persona_id: str) -> Persona | None:
        try:
            data = await asyncio.to_thread(atomic_files.read, self.folder(persona_id) / CONFIG, MAX_CONFIG)
            persona = from_json(data, Persona)
            if persona.id != persona_id:
                raise msgspec.ValidationError(f"id is {persona.id}, but the folder is named {persona_id}")
            require_providers(persona)
            require_hours(persona)
        except FileNotFoundError:
            if persona_id not in self._personas:
                return None
            self._fault(persona_id, "the file is gone")
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self._fault(persona_id, str(error))
            return None
        self._faults.pop(persona_id, None)
        if self._personas.get(persona_id) == persona:
            return None
        self._personas[persona_id] = persona
        return persona

    def _fault(self, persona_id: str, reason: str) -> None:
        kept = "her last good record stays in force" if persona_id in self._personas else "she cannot be loaded"
        fault = f"{self.folder(persona_id) / CONFIG}: {reason}; {kept} until the file is corrected."
        if self._faults.get(persona_id) != fault:
            self._faults[persona_id] = fault
            self._log.error("persona.config_invalid", persona=persona_id, reason=fault)

    async def _reread_memory(self, persona_id: str) -> None:
        try:
            memory, unread = await asyncio.to_thread(read_memory, self.folder(persona_id), self._log)
        except OSError as error:
            self._log.error("persona.memory_unreadable", persona=persona_id, file=MEMORY_FOLDER, reason=str(error))
            self._unread[persona_id] = frozenset(self.memory(persona_id))
            return
        if memory or persona_id in self._personas:
            self._memories[persona_id], self._unread[persona_id] = memory, unread


def read_memory(folder: Path, log: Log) -> tuple[Memory, frozenset[str]]:
    """Return the content of a persona's memory files, and the names of those that are not read. Blocks.

    Raises OSError.
    """
    memory: Memory = {}
    unread = set[str]()
    files = folder / MEMORY_FOLDER
    if not files.is_dir():
        return memory, frozenset()
    names = sorted(path.name for path in files.iterdir() if MEMORY_FILE.fullmatch(path.name))
    for name in names[:MAX_MEMORY_FILES]:
        try:
            memory[name.removesuffix(".md")] = atomic_files.read(files / name, MAX_MEMORY_FILE).decode()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            log.error("persona.memory_unreadable", persona=folder.name, file=name, reason=str(error))
            unread.add(name.removesuffix(".md"))
    return memory, frozenset(unread | {name.removesuffix(".md") for name in names[MAX_MEMORY_FILES:]})
