"""Every change of a memory file: kept in the ledger, written to the disk, and a version of the file's history.

The ledger and the files cannot change at the same instant. So a change is first kept whole in the ledger, then its
files are written, then it becomes versions, in one transaction with what it has learned
(``daemon/ledger/memory_history.py``). What a kill cuts short is settled at the next start: written to its end if the
files are as the change knew them, else given up. A file that holds something else than its last version was edited by
hand, and that becomes a version, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from daemon.ledger import Cause, Change, Ledger, LedgerError, Version, Why
from daemon.ledger.memory_history import changed
from daemon.logging.log import Log
from daemon.personas.personas import (
    MAX_MEMORY_FILE,
    MAX_MEMORY_FILES,
    MemoryChanged,
    Personas,
    PersonasError,
)
from daemon.runtime.clock import Clock
from daemon.runtime.tasks import carried_through
from proto.feeds import FedLine
from proto.messages import Memory


class NoVersion(RuntimeError):
    """The file has no such version; the text says which it has."""


class NothingToUndo(RuntimeError):
    """The file cannot go back; the text says why."""


class AnotherVersion(RuntimeError):
    """The file's last version is another than the one that was read; the text says what to do."""


class Memories:
    """The memory files of all personas, and their history. Her last changes are never lost and never doubled."""

    def __init__(self, personas: Personas, ledger: Ledger, clock: Clock, log: Log) -> None:
        self._personas = personas
        self._ledger = ledger
        self._clock = clock
        self._log = log
        self._locks: dict[str, asyncio.Lock] = {}
        """Each is held while files and history differ, and never while a mind thinks."""
        self._open: set[str] = set()
        """The personas of whom a change may be kept and not finished."""

    async def load(self) -> None:
        """Finish or give up what a kill cut short, and look for edits by hand since then. Raises LedgerError."""
        self._open = await self._ledger.with_open_changes()
        for persona in self._personas.all():
            await self._look(persona.id, "found")
        for persona_id in self._open - self._personas.broken().keys():
            if self._personas.get(persona_id) is None:
                # She was deleted while it was under way.
                for change in await self._ledger.open_changes(persona_id):
                    await self._ledger.give_up_change(change.id, [])

    async def note(self, persona_id: str) -> None:
        """Her files may have been edited by hand: what is new in them becomes versions."""
        await self._look(persona_id, "hand")

    async def _look(self, persona_id: str, first: Cause) -> None:
        """``first`` says why her files hold what they hold if her history begins only now."""
        if self._personas.get(persona_id) is None:
            return
        async with self._lock(persona_id):
            try:
                await self._settle(persona_id)
                await self._personas.reread_memory(persona_id)
                await self._note(persona_id, first)
            except (LedgerError, PersonasError) as error:
                self._log.error("memory.not_noted", persona=persona_id, reason=str(error))

    async def settle(self, persona_id: str) -> None:
        """Carry out a change that an error cut short. Raises LedgerError, PersonasError."""
        if persona_id in self._open:
            async with self._lock(persona_id):
                await self._settle(persona_id)

    async def change(
        self, persona_id: str, before: Memory, after: Memory, why: Why, lines: Sequence[FedLine] = ()
    ) -> None:
        """Replace the files of ``after``, which were made from ``before``; once begun it is carried through.

        ``lines`` are those of a conversation that she was fed: they are kept with it.

        Raises MemoryChanged when one of them was edited meanwhile, PersonasError, LedgerError.
        """
        if any(len(text.encode()) > MAX_MEMORY_FILE for text in after.values()):
            raise PersonasError(f"A memory file holds at most {MAX_MEMORY_FILE} bytes.")
        if after.keys() - before.keys() and len(before.keys() | after.keys()) > MAX_MEMORY_FILES:
            raise PersonasError(f"Her memory holds at most {MAX_MEMORY_FILES} files.")
        await carried_through(self._change(persona_id, before, after, why, lines))

    async def undo(
        self, persona_id: str, file: str, version: int | None, is_meant: Callable[[Version], bool]
    ) -> Version:
        """Put back a version of a file, or what it held before its last change; return the version that this makes.

        ``is_meant`` says whether its last version is the one that the caller has read.

        Raises NoVersion, NothingToUndo, AnotherVersion, MemoryChanged, PersonasError, LedgerError.
        """
        return await carried_through(self._undo(persona_id, file, version, is_meant))

    def forget(self, persona_id: str) -> None:
        """Forget a deleted persona."""
        self._locks.pop(persona_id, None)
        self._open.discard(persona_id)

    def _lock(self, persona_id: str) -> asyncio.Lock:
        return self._locks.setdefault(persona_id, asyncio.Lock())

    async def _change(self, persona_id: str, before: Memory, after: Memory, why: Why, lines: Sequence[FedLine]) -> None:
        async with self._lock(persona_id):
            await self._settle(persona_id)
            await self._note(persona_id)
            await self._apply(persona_id, {name: before.get(name) for name in after}, after, why, lines)

    async def _apply(
        self,
        persona_id: str,
        before: Mapping[str, str | None],
        after: Mapping[str, str | None],
        why: Why,
        lines: Sequence[FedLine] = (),
    ) -> None:
        # Whatever ends this halfway, the next change settles it.
        self._open.add(persona_id)
        now = self._clock.time_ns()
        number = await self._ledger.begin_change(persona_id, why, before, after, now, lines)
        try:
            await self._personas.save_memory(persona_id, before, after)
        except PersonasError as error:
            await self._give_up(Change(number, persona_id, why, dict(before), dict(after)))
            self._open.discard(persona_id)
            if isinstance(error, MemoryChanged):
                await self._note(persona_id)
            raise
        await self._ledger.finish_change(number)
        self._open.discard(persona_id)

    async def _settle(self, persona_id: str) -> None:
        if persona_id not in self._open:
            return
        for change in await self._ledger.open_changes(persona_id):
            await self._personas.reread_memory(persona_id)
            memory = self._personas.memory(persona_id)
            is_as_left = all(memory.get(name) in (change.before.get(name), text) for name, text in change.after.items())
            try:
                if is_as_left:
                    known = {name: memory.get(name) for name in change.after}
                    await self._personas.save_memory(persona_id, known, change.after)
            except MemoryChanged:
                is_as_left = False
            if is_as_left:
                await self._ledger.finish_change(change.id)
            else:
                await self._give_up(change)
            self._log.info("memory.settled", persona=persona_id, cause=change.why.cause, applied=is_as_left)
        self._open.discard(persona_id)

    async def _give_up(self, change: Change) -> None:
        """What of it is on the disk keeps its reason; what is not is as if it had never been."""
        memory = self._personas.memory(change.persona)
        written = [
            name
            for name, text in change.after.items()
            if memory.get(name) == text and change.before.get(name) != text
            if name not in self._personas.unread(change.persona)
        ]
        await self._ledger.give_up_change(change.id, written)

    async def _note(self, persona_id: str, first: Cause = "hand") -> None:
        known = await self._ledger.memory_digests(persona_id)
        # Without an await up to the ledger's queue: a persona who is deleted is forgotten there after this.
        if self._personas.get(persona_id) is None:
            return
        differs = changed(known or {}, self._personas.memory(persona_id), self._personas.unread(persona_id))
        if known is None or differs:
            why = Why(first if known is None else "hand")
            noted = await self._ledger.note_memory(persona_id, differs, why, self._clock.time_ns())
            if known is not None:
                self._log.info("memory.edited", persona=persona_id, files=",".join(noted))

    async def _undo(
        self, persona_id: str, file: str, wanted: int | None, is_meant: Callable[[Version], bool]
    ) -> Version:
        async with self._lock(persona_id):
            await self._settle(persona_id)
            await self._personas.reread_memory(persona_id)
            await self._note(persona_id)
            versions = await self._ledger.memory_versions(persona_id, file)
            if not versions:
                raise NoVersion(f"There is no memory file {file!r}: GET .../knowledge/memory lists them.")
            if not is_meant(versions[0]):
                raise AnotherVersion(
                    "The file was changed since you read it: GET its history again, and send the new ETag as If-Match."
                )
            number, text = await self._target(persona_id, versions, wanted)
            if text is not None and len(text.encode()) > MAX_MEMORY_FILE:
                raise NothingToUndo(f"That version is larger than {MAX_MEMORY_FILE} bytes: choose another one.")
            before = self._personas.memory(persona_id).get(file)
            if before == text:
                raise NothingToUndo(f"{file}.md holds that already: choose another version of its history.")
            if before is None and len(self._personas.memory(persona_id)) >= MAX_MEMORY_FILES:
                raise NothingToUndo(f"Her memory holds {MAX_MEMORY_FILES} files already: remove one by hand first.")
            why = Why("undo", restores=number)
            await self._apply(persona_id, {file: before}, {file: text}, why)
            made = await self._ledger.memory_versions(persona_id, file)
        self._log.info("memory.undone", persona=persona_id, file=file, version=made[0].version, restores=number)
        return made[0]

    async def _target(self, persona_id: str, versions: list[Version], wanted: int | None) -> tuple[int, str | None]:
        """Return the number and the text of the version to put back. Raises NoVersion, NothingToUndo."""
        file, last = versions[0].file, versions[0].version
        if wanted is None and len(versions) == 1:
            if last == 1 and versions[0].why.cause not in ("found", "restored"):
                return 0, None
            raise NothingToUndo(f"{file}.md has one version only: there is nothing before it.")
        number = versions[1].version if wanted is None else wanted
        found = await self._ledger.memory_version(persona_id, file, number)
        if found is None:
            kept = f"{versions[-1].version} to {last}" if len(versions) > 1 else str(last)
            raise NoVersion(
                f"{file}.md has no version {number}: those from {kept} are kept, the older ones thinned out."
            )
        return number, found[1]
