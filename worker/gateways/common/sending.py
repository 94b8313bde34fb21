"""Her messages to a provider: in parts that it takes, in its pace, with an honest report of each.

The kernel guarantees: the same message is always cut in the same way; a part that is reported as sent is never sent
again; a part that may have been taken is marked where the provider has no key for repetitions; nothing is repeated
behind the outbox's back; and once the provider refuses the channel, no further request is made.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final, Generic, NamedTuple, TypeVar

from proto.gateways import Deliver, Delivered, Gateway, PartSent, Say, Undelivered
from worker.base.log import WorkerLog
from worker.gateways.common.account import Account
from worker.gateways.common.budget import Budget, Pace
from worker.gateways.common.link import Report
from worker.gateways.common.splitting import Entity, Rich, split_rich
from worker.gateways.common.trouble import PROVIDER_ERRORS, Trouble

MARK: Final = "(perhaps repeated)\n"
"""Heads what may have been sent before without our learning of it, where the provider has no key for repetitions."""

MAX_WAIT: Final = 20.0
"""Seconds that a message may wait here for its turn; one that must wait longer goes back to the outbox."""

MAX_ID: Final = 128
LONG: Final = 4000
"""Characters from which a text is cut on a thread, so that the loop goes on."""


class Part(NamedTuple):
    """One message at the provider: a text, or a file of this ``kind`` with its text.

    ``key`` is the same at each try of this part, "" for one that is sent only once.
    """

    text: str
    entities: tuple[Entity, ...] = ()
    file: Path | None = None
    kind: str = "text"
    key: str = ""

    def marked(self) -> Part:
        """The same, saying that it may be a repetition; its entities move along."""
        moved = tuple(entity._replace(offset=entity.offset + len(MARK)) for entity in self.entities)
        return self._replace(text=MARK + self.text, entities=moved)


class UnsendableError(Exception):
    """What can never be sent; the text says why."""


A = TypeVar("A", bound=Account)


class Sender(ABC, Generic[A]):
    """Sends for one channel. ``refused`` is called when the provider refuses the channel itself."""

    chat_pace: ClassVar[Pace]
    bot_pace: ClassVar[Pace]
    """What the provider allows in one chat, and for all of the account."""

    max_message: ClassVar[int]
    """What fits into one text, by ``measure``, with room for the mark: a repetition is cut in the same places."""

    max_caption: ClassVar[int]
    """The same for the text that goes with a file."""

    shows_typing: ClassVar[bool] = False

    def __init__(
        self,
        gateway: Gateway,
        account: A,
        folder: Path,
        report: Callable[[Report], None],
        refused: Callable[[Trouble], None],
        log: WorkerLog,
    ) -> None:
        self.gateway = gateway
        self.folder = folder
        self.log = log
        self.budget = Budget(self.chat_pace, self.bot_pace, asyncio.get_running_loop().time)
        self.closed = ""
        """Why nothing is sent any more, "" while the channel works."""
        self.account = account
        self._report = report
        self._refused = refused

    @abstractmethod
    def cut(self, markdown: str) -> list[Rich]:
        """Cut a text into what the provider takes; the same text always in the same way. Called on any thread."""

    @abstractmethod
    async def send(self, chat: str, part: Part) -> str:
        """Send one part and return the provider's id. Raises what PROVIDER_ERRORS lists, and UnsendableError."""

    def measure(self, text: str) -> int:
        """How much of ``max_message`` a text takes."""
        return len(text)

    async def show_typing(self, chat: str) -> None:
        """Show that she is thinking. Raises what PROVIDER_ERRORS lists."""
        del chat

    def may_type(self, chat: str) -> bool:
        """Whether typing may be shown now: a message could still follow at once."""
        return self.shows_typing and self.budget.spare(chat)

    def trouble(self, error: Exception, chat: str) -> Trouble:
        """Say what a failure of a send to this chat means."""
        del chat
        return self.account.trouble(error)

    def opted_out(self, chat: str) -> str:
        """Why nothing may be sent to this chat, "" when there is no reason."""
        del chat
        return ""

    async def sent_already(self, message: Deliver, part: Part) -> str:
        """The provider's id of a part that may have been sent before, "" where it cannot be found out."""
        del message, part
        return ""

    def arrange(self, message: Deliver, cut: list[Rich]) -> list[Part]:
        """Put texts and file together: a text that is too long to go with its file follows it."""
        texts = [Part(piece.text, piece.entities) for piece in cut]
        if message.media is None:
            return texts
        first = texts[0] if len(texts) == 1 and self.measure(texts[0].text) <= self.max_caption else None
        file = (first or Part(""))._replace(file=self.folder / message.media, kind=message.kind)
        return [file] if first else [file, *texts]

    async def parts(self, message: Deliver) -> list[Part]:
        """Cut a message into what the provider takes."""
        text = message.content
        cut = await asyncio.to_thread(self.cut, text) if len(text) > LONG else self.cut(text)
        parts = self.arrange(message, cut)
        return [part._replace(key=f"{message.key}:{number}") for number, part in enumerate(parts)]

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
        """Send a text as it is, once; a failure is logged."""
        whole = Deliver(0, message.channel, message.chat, "", "text", message.content, None, 0, ambiguous=False)
        for piece in split_rich(Rich(message.content), self.max_message, self.measure):
            sent = await self._attempt(whole, Part(piece.text), doubtful=False)
            if isinstance(sent, Undelivered):
                self.log.warning("gateway.say_failed", reason=sent.reason)
                return

    async def type(self, chat: str) -> None:
        """Show that she is thinking; a failure is only logged."""
        try:
            await self.show_typing(chat)
        except PROVIDER_ERRORS as error:
            self.log.debug("gateway.typing_failed", reason=self._noted(error, chat).reason)

    async def _attempt(self, message: Deliver, part: Part, *, doubtful: bool) -> str | Undelivered:
        """Send one part; returns its id, or why it was not taken."""
        chat, seq = message.chat, message.seq
        if why := self.opted_out(chat):
            return Undelivered(seq, why, permanent=True, blocked=True)
        if (ahead := self.budget.ahead(chat)) > MAX_WAIT:
            return Undelivered(seq, f"{self.account.provider}'s pace leaves no room for it now.", retry_after=ahead)
        await asyncio.sleep(self.budget.reserve(chat))
        if self.closed:
            return Undelivered(seq, self.closed)
        try:
            if doubtful and (known := await self.sent_already(message, part)):
                return known
            return await self.send(chat, part.marked() if doubtful else part)
        except UnsendableError as error:
            return Undelivered(seq, str(error), permanent=True)
        except PROVIDER_ERRORS as error:
            found = self._noted(error, chat)
        permanent = found.fate in ("never", "blocked")
        return Undelivered(
            seq,
            found.reason,
            permanent=permanent,
            blocked=found.fate == "blocked",
            ambiguous=found.fate == "perhaps",
            retry_after=0.0 if permanent else found.retry_after,
        )

    def _noted(self, error: Exception, chat: str) -> Trouble:
        """Let the rest of the gateway know what concerns more than this message."""
        found = self.trouble(error, chat)
        if found.stops:
            self._refused(found)
        elif found.error_class == "throttle":
            self.budget.pause(chat, found.retry_after)
        return found

    async def content(self, file: Path, limit: int) -> bytes:
        """What is in a file that she made. Raises UnsendableError, also over ``limit`` bytes."""
        try:
            data = await asyncio.to_thread(_read, file, limit)
        except OSError as error:
            raise UnsendableError(f"The file that she made cannot be read: {error.strerror}.") from None
        if data is None:
            size = f"{limit // 1_048_576} MB"
            raise UnsendableError(
                f"The file that she made is over {size}, which {self.account.provider} does not take."
            )
        return data


def _read(path: Path, limit: int) -> bytes | None:
    return None if path.stat().st_size > limit else path.read_bytes()
