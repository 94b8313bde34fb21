"""Her messages to providers asked by REST: in parts, in their pace, with an honest word about what became of each."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from proto.gateways import Deliver, Delivered, PartSent, Say, Undelivered
from worker.base.log import WorkerLog
from worker.gateways import Report
from worker.gateways.common.budget import Budget
from worker.gateways.common.rest import PROVIDER_ERRORS, Trouble, maybe_taken

MARK: Final = "(perhaps repeated)\n"
"""Heads what may have been sent before without our learning of it, where the provider has no key for repetitions."""

MAX_WAIT: Final = 20.0
"""Seconds that a message may wait here for its turn; one that must wait longer goes back to the outbox."""

MAX_ID: Final = 128


class Part(NamedTuple):
    """One message at the provider: a text, or a file with its text."""

    text: str
    file: Path | None = None

    def marked(self) -> Part:
        """The same, saying that it may be a repetition."""
        return Part(MARK + self.text, self.file)


class UnsendableError(Exception):
    """What can never be sent; the text says why."""


class Fate(NamedTuple):
    """What a refused send means: ``trouble`` concerns the whole channel if it stops it."""

    trouble: Trouble
    permanent: bool = False
    blocked: bool = False


class Sender(ABC):
    """Sends for one channel. ``refused`` is called when the provider refuses the channel itself."""

    def __init__(
        self,
        provider: str,
        budget: Budget,
        report: Callable[[Report], None],
        refused: Callable[[Trouble], None],
        log: WorkerLog,
    ) -> None:
        self.provider = provider
        self.budget = budget
        self.log = log
        self._report = report
        self._refused = refused

    @abstractmethod
    async def parts(self, message: Deliver) -> list[Part]:
        """Cut a message into what the provider takes; the same message always in the same way."""

    @abstractmethod
    async def send(self, chat: str, part: Part) -> str:
        """Send one part and return the provider's id. Raises what PROVIDER_ERRORS lists, and UnsendableError."""

    @abstractmethod
    def fate(self, error: Exception, chat: str) -> Fate:
        """Say of what kind a failure is."""

    def stopped(self, chat: str) -> str:
        """Why nothing may be sent to this chat, "" when there is no reason."""
        del chat
        return ""

    async def sent_already(self, message: Deliver, part: Part) -> str:
        """The provider's id of a part that may have been sent before, "" when nobody can tell."""
        del message, part
        return ""

    async def deliver(self, message: Deliver) -> None:
        """Send the parts that are not yet sent, and report each, then all of it or why not."""
        all_parts = await self.parts(message)
        last_id = ""
        for number in range(message.parts_sent, len(all_parts)):
            doubtful = message.ambiguous and number == message.parts_sent
            sent = await self._attempt(message, all_parts[number], doubtful=doubtful)
            if isinstance(sent, Undelivered):
                self._report(sent)
                return
            last_id = sent
            if number + 1 < len(all_parts):
                self._report(PartSent(message.seq, number + 1))
        self._report(Delivered(message.seq, last_id if len(last_id) <= MAX_ID else ""))

    async def say(self, message: Say) -> None:
        """Send a text once; a failure is logged."""
        whole = Deliver(0, message.channel, message.chat, "", "text", message.content, None, 0, ambiguous=False)
        for part in await self.parts(whole):
            sent = await self._attempt(whole, part, doubtful=False)
            if isinstance(sent, Undelivered):
                self.log.warning("gateway.say_failed", reason=sent.reason)
                return

    async def _attempt(self, message: Deliver, part: Part, *, doubtful: bool) -> str | Undelivered:
        """Send one part; returns its id, or why it was not taken."""
        chat, seq = message.chat, message.seq
        if why := self.stopped(chat):
            return Undelivered(seq, why, permanent=True, blocked=True)
        if (ahead := self.budget.ahead(chat)) > MAX_WAIT:
            return Undelivered(seq, f"{self.provider}'s pace leaves no room for it now.", retry_after=ahead)
        await asyncio.sleep(self.budget.reserve(chat))
        try:
            if doubtful and (known := await self.sent_already(message, part)):
                return known
            return await self.send(chat, part.marked() if doubtful else part)
        except UnsendableError as error:
            return Undelivered(seq, str(error), permanent=True)
        except PROVIDER_ERRORS as error:
            return self._undelivered(seq, chat, error)

    def _undelivered(self, seq: int, chat: str, error: Exception) -> Undelivered:
        found, permanent, blocked = self.fate(error, chat)
        if found.stops:
            self._refused(found)
        elif found.kind == "throttle":
            self.budget.pause(chat, found.retry_after)
        return Undelivered(
            seq,
            found.reason,
            permanent=permanent,
            blocked=blocked,
            ambiguous=not permanent and maybe_taken(error),
            retry_after=found.retry_after,
        )
