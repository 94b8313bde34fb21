"""Her instructions: Markdown files in her folder ``instructions``, editable by hand and watched.

A file's first heading is its intention: when she is to follow it. What a file gets wrong is said exactly, and the
others work. They are told to her mind in the order of their names, as many as fit into ``MOST_BYTES``.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from daemon.logging.log import Log
from daemon.personas import atomic_files
from daemon.personas.instruction_files import (
    MOST_BYTES,
    MOST_FILES,
    NAME,
    Instruction,
    InstructionFault,
    parsed,
    rendered,
)
from daemon.personas.personas import Personas

FOLDER: Final = "instructions"


class NoInstruction(RuntimeError):
    """There is no instruction with this name."""


class InstructionRefused(RuntimeError):
    """The instruction cannot be written or removed; the text says what to do."""


class InstructionChanged(RuntimeError):
    """The instruction is not the one that the caller has read."""


class Told(msgspec.Struct, frozen=True):
    """What her folder holds: the instructions in the order of their names, and what is wrong with other files."""

    instructions: list[Instruction] = []
    faults: dict[str, str] = {}


class Instructions:
    """The instructions of all personas, as they were read last."""

    def __init__(self, personas: Personas, log: Log) -> None:
        self._personas = personas
        self._log = log
        self._told: dict[str, Told] = {}
        self._disk = asyncio.Lock()
        """Held while files and what is known of them change."""

    async def load(self) -> None:
        """Read everybody's."""
        for persona in self._personas.all():
            await self.reload(persona.id)

    async def reload(self, persona_id: str) -> None:
        """Read hers again, after an edit by hand."""
        async with self._disk:
            await self._reload(persona_id)

    def all(self, persona_id: str) -> list[Instruction]:
        """Return the instructions that her mind is told."""
        return self._told.get(persona_id, Told()).instructions

    def faults(self, persona_id: str) -> dict[str, str]:
        """Return what is wrong with other files, or with the folder itself, by their paths in her folder."""
        return self._told.get(persona_id, Told()).faults

    def orders(self, persona_id: str, *, visitors: bool = False) -> list[str]:
        """Return the whole texts for a turn of her owner, or for one of a visitor: only what is marked for them."""
        return [one.text for one in self.all(persona_id) if one.visitors or not visitors]

    async def put(
        self, persona_id: str, new: Instruction, is_meant: Callable[[Instruction | None], bool]
    ) -> Instruction:
        """Write an instruction, in place of the one with its name. ``is_meant`` gets that one.

        Raises InstructionChanged, InstructionRefused.
        """
        async with self._disk:
            await self._reload(persona_id)
            known = self.all(persona_id)
            if not is_meant(next((one for one in known if one.name == new.name), None)):
                raise InstructionChanged
            others = [one for one in known if one.name != new.name]
            if (total := sum(one.size for one in others) + new.size) > MOST_BYTES:
                raise InstructionRefused(
                    f"Her instructions hold at most {MOST_BYTES} bytes in all, and this would make them {total}:"
                    " shorten or delete one."
                )
            if len(others) >= MOST_FILES:
                raise InstructionRefused(f"She has {MOST_FILES} instructions already: delete one first.")
            await self._written(persona_id, lambda folder: atomic_files.write(folder / new.file, rendered(new)))
        return new

    async def remove(self, persona_id: str, name: str, is_meant: Callable[[Instruction | None], bool]) -> None:
        """Delete an instruction, also one that cannot be read.

        Raises NoInstruction, InstructionChanged, InstructionRefused.
        """
        async with self._disk:
            await self._reload(persona_id)
            found = next((one for one in self.all(persona_id) if one.name == name), None)
            if found is None and f"{FOLDER}/{name}.md" not in self.faults(persona_id):
                raise NoInstruction
            if not is_meant(found):
                raise InstructionChanged
            await self._written(persona_id, lambda folder: atomic_files.remove(folder / f"{name}.md"))

    async def _written(self, persona_id: str, write: Callable[[Path], None]) -> None:
        folder = self._personas.folder(persona_id) / FOLDER

        def run() -> None:
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.is_symlink():
                raise OSError(f"{FOLDER} is a link: put a folder in its place")
            write(folder)

        try:
            await asyncio.to_thread(run)
        except OSError as error:
            raise InstructionRefused(f"It could not be written: {error.strerror or error}.") from error
        await self._reload(persona_id)

    async def _reload(self, persona_id: str) -> None:
        told = await asyncio.to_thread(read, self._personas.folder(persona_id) / FOLDER)
        before = self.faults(persona_id)
        for file, reason in told.faults.items():
            if before.get(file) != reason:
                self._log.error("instruction.unusable", persona=persona_id, file=file, reason=reason)
        if told.instructions or told.faults:
            self._told[persona_id] = told
        else:
            self._told.pop(persona_id, None)


def read(folder: Path) -> Told:
    """Read a folder of instructions. Blocks; whatever is wrong with it is told, not raised.

    The folder is opened once and without following links, so that no name in it leads out of her folder.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return Told()
    except OSError as error:
        reason = "it is a link: put a folder in its place" if folder.is_symlink() else error.strerror or str(error)
        return Told(faults={FOLDER: reason})
    try:
        # Editors keep drafts and backups under other names.
        with os.scandir(descriptor) as found:
            names = sorted(one.name for one in found if one.name.endswith(".md") and not one.name.startswith("."))
        return _read(descriptor, names)
    finally:
        os.close(descriptor)


def _read(descriptor: int, names: list[str]) -> Told:
    told = Told([], {})
    for name in names:
        try:
            told.instructions.append(_fitting(parsed(name, _content(descriptor, name)), told.instructions))
        except InstructionFault as fault:
            told.faults[f"{FOLDER}/{name}"] = str(fault)
    return told


def _fitting(one: Instruction, others: list[Instruction]) -> Instruction:
    """Return the instruction. Raises InstructionFault when there is no room for it beside the others."""
    if len(others) >= MOST_FILES:
        raise InstructionFault(f"she has {MOST_FILES} instructions before it already: delete one")
    if one.size + sum(other.size for other in others) > MOST_BYTES:
        raise InstructionFault(f"her instructions hold {MOST_BYTES} bytes in all, and it does not fit: shorten one")
    return one


def _content(descriptor: int, name: str) -> bytes:
    """Raise InstructionFault for a name that is not taken, and for what is no plain small file."""
    if not NAME.fullmatch(name):
        raise InstructionFault("its name is not taken: use small letters, digits and dashes, such as be-brief.md")
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=descriptor)
    except OSError as error:
        # What O_NOFOLLOW says of a link (https://man7.org/linux/man-pages/man2/open.2.html).
        link = "it is a link: put the file itself there" if error.errno == errno.ELOOP else ""
        raise InstructionFault(link or error.strerror or str(error)) from error
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise InstructionFault("it is no file: an instruction is a Markdown file")
    with os.fdopen(file, "rb") as stream:
        return stream.read(MOST_BYTES + 1)
