"""What the ledger does to erase visitors' words."""

from __future__ import annotations

from daemon.ledger import erasure
from daemon.ledger.erasure import Erased
from daemon.ledger.threads import Reader
from daemon.ledger.writer import Writer


class ErasureOperations:
    """A part of ``Ledger``, with the same promises."""

    _writer: Writer
    _reader: Reader

    async def erase_conversation(self, channel: str, chat: str) -> Erased | None:
        """Erase one conversation of an open channel; None when there is no such conversation."""
        return await self._writer.submit(erasure.conversation, channel, chat)

    async def conversations_of(self, account: str) -> list[tuple[str, str]]:
        """Return the channel and chat of every conversation on open channels in which this account wrote."""
        return await self._reader.submit(erasure.conversations_of, account)

    async def forget_sender(self, account: str) -> None:
        """Delete what is counted for this account."""
        await self._writer.submit(erasure.forget_sender, account)

    async def idle_conversations(self, before: int) -> list[tuple[str, str]]:
        """Return some conversations of open channels in which nothing was said since ``before``."""
        return await self._reader.submit(erasure.idle_conversations, before)

    async def erase_old_lines(self, persona_id: str, before: int) -> int:
        """Erase some of the lines on her open channels from before ``before``; return how many."""
        return await self._writer.submit(erasure.old_lines, persona_id, before)

    async def unneeded_files(self) -> list[tuple[str, str]]:
        """Return the persona and name of each file of erased words."""
        return await self._reader.submit(erasure.unneeded_files)

    async def file_gone(self, persona_id: str, media: str) -> None:
        """Record that a file of erased words is deleted."""
        await self._writer.submit(erasure.file_gone, persona_id, media)
