"""What the ledger does for the history of the memory files."""

from __future__ import annotations

from collections.abc import Sequence

from daemon.ledger import memory_history
from daemon.ledger.memory_history import ArchivedVersion, Change, Files, Version, Why
from daemon.ledger.threads import Reader
from daemon.ledger.writer import Writer
from proto.feeds import FedLine


class MemoryOperations:
    """A part of ``Ledger``, with the same promises."""

    _writer: Writer
    _reader: Reader

    async def begin_change(
        self, persona_id: str, why: Why, before: Files, after: Files, at: int, lines: Sequence[FedLine] = ()
    ) -> int:
        """Keep a change of memory before its files are written, with a fed conversation's lines; return its id."""
        return await self._writer.submit(memory_history.begin, persona_id, why, before, after, at, lines)

    async def finish_change(self, change: int) -> None:
        """Make versions of a change whose files are written, and record what it has learned, in one transaction."""
        await self._writer.submit(memory_history.finish, change)

    async def give_up_change(self, change: int, written: list[str]) -> None:
        """Drop a change that cannot be carried out, but for the versions of these files, which are written."""
        await self._writer.submit(memory_history.give_up, change, written)

    async def open_changes(self, persona_id: str) -> list[Change]:
        """Return her changes whose files may not be written, oldest first."""
        return await self._reader.submit(memory_history.open_changes, persona_id)

    async def with_open_changes(self) -> set[str]:
        """Return the personas who have such changes."""
        return await self._reader.submit(memory_history.with_open_changes)

    async def memory_digests(self, persona_id: str) -> dict[str, str] | None:
        """Return the digest of each memory file's last version, or None when her history has not begun."""
        return await self._reader.submit(memory_history.digests, persona_id)

    async def note_memory(self, persona_id: str, files: Files, why: Why, at: int) -> list[str]:
        """Keep what these files hold where it is new, and return their names; her history has begun now."""
        return await self._writer.submit(memory_history.note, persona_id, files, why, at)

    async def memory_files(self, persona_id: str) -> list[tuple[Version, int]]:
        """Return the last version of each memory file that ever was, and how many versions of it are kept."""
        return await self._reader.submit(memory_history.latest, persona_id)

    async def memory_versions(self, persona_id: str, file: str) -> list[Version]:
        """Return a memory file's versions, newest first."""
        return await self._reader.submit(memory_history.versions, persona_id, file)

    async def memory_version(self, persona_id: str, file: str, version: int) -> tuple[Version, str | None] | None:
        """Return one version with its text, or None when it is not kept."""
        return await self._reader.submit(memory_history.body, persona_id, file, version)

    async def archived_versions(self, persona_id: str, after: int, limit: int) -> tuple[int, list[ArchivedVersion]]:
        """Return the next versions for an export, and the id of the last one (0: there are no more)."""
        return await self._reader.submit(memory_history.archived, persona_id, after, limit)

    async def put_back_versions(self, persona_id: str, versions: list[ArchivedVersion]) -> None:
        """Restore versions of an export."""
        await self._writer.submit(memory_history.put_back, persona_id, versions)
