"""Erases what visitors said: on request, with their channel, and when it is older than the operator wants to keep it.

The lines of paired channels are her owner's and are not touched. Nothing of visitors is in her memory.
"""

from __future__ import annotations

from daemon.channels.errors import ChannelRefused
from daemon.channels.unneeded_files import remove_erased
from daemon.conversations.inbox import Inbox
from daemon.ledger import Ledger
from daemon.logging.log import Log
from daemon.personas.personas import Personas


class Erasure:
    """Erases conversations from the ledger, from the queue and from the disk. Its methods raise LedgerError."""

    def __init__(self, ledger: Ledger, personas: Personas, inbox: Inbox, log: Log) -> None:
        self._ledger = ledger
        self._personas = personas
        self._inbox = inbox
        self._log = log

    async def conversation(self, channel: str, chat: str) -> None:
        """Erase one conversation of an open channel. Raises ChannelRefused (404) when there is none."""
        if not await self._erase(channel, chat):
            raise ChannelRefused(404, "There is no conversation with this id; GET .../conversations lists them.")
        await self.delete_files()
        self._log.info("visitor.erased", conversations=1)

    async def sender(self, account: str) -> int:
        """Erase every conversation on open channels in which this account wrote; returns how many.

        A thread that several people share is erased whole.
        """
        erased = [await self._erase(*place) for place in await self._ledger.conversations_of(account)]
        await self._ledger.forget_sender(account)
        await self.delete_files()
        self._log.info("visitor.erased", conversations=sum(erased))
        return sum(erased)

    async def expire(self, before: int) -> None:
        """Erase what was said on open channels before ``before``, in epoch nanoseconds."""
        erased = lines = 0
        while some := await self._ledger.idle_conversations(before):
            erased += sum([await self._erase(*place) for place in some])
        for persona in self._personas.all():
            while found := await self._ledger.erase_old_lines(persona.id, before):
                lines += found
        await self.delete_files()
        if erased or lines:
            self._log.info("visitor.expired", conversations=erased, lines=lines)

    async def delete_files(self) -> None:
        """Delete the files of erased words. Raises OSError, too."""
        await remove_erased(self._ledger, self._personas)

    async def _erase(self, channel: str, chat: str) -> bool:
        erased = await self._ledger.erase_conversation(channel, chat)
        if erased:
            self._inbox.erased(erased.persona, (channel, chat), erased.waiting)
        return erased is not None
