"""Sends her messages to a provider: in parts that fit, at the provider's pace, and with a report about each part.

The kernel guarantees: the same message is always split in the same way; a part that is reported as sent is never sent
again; a part that may already have been taken is marked, unless the provider detects repetitions by a key; only the
outbox repeats a message; and once the provider refuses the channel, no further request is made.
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
"""Prefix of a message that may already have been sent, if the provider cannot detect repetitions by a key."""

MAX_WAIT: Final = 20.0
"""Seconds that a message may wait here; one that must wait longer goes back to the outbox."""

UNCLEAR_TRIES: Final = 8
"""Tries of a message that is refused for an unknown reason. With the outbox's growing waits they take some minutes."""

MAX_ID: Final = 128
LONG: Final = 4000
"""Characters above which a text is split on a thread, so that the event loop is not blocked."""


class Part(NamedTuple):
    """One message at the provider: a text, or a file of this ``kind`` with its text.

    ``key`` is the same at each try of this part, "" for a part that is tried only once.
    """

    text: str
    entities: tuple[Entity, ...] = ()
    file: Path | None = None
    kind: str = "text"
    key: str = ""

    def marked(self) -> Part:
        """Return this part with the mark in front and its entities shifted."""
        moved = tuple(entity._replace(offset=entity.offset + len(MARK)) for entity in self.entities)
        return self._replace(text=MARK + self.text, entities=moved)


class UnsendableError(Exception):
    """The message can never be sent. The text says why."""


A = TypeVar("A", bound=Account)


class Sender(ABC, Generic[A]):
    """Sends for one channel. It calls ``refused`` when the provider refuses the channel itself."""

    chat_pace: ClassVar[Pace]
    bot_pace: ClassVar[Pace]
    """The pace that the provider allows in one chat, and for the whole account."""

    max_message: ClassVar[int]
    """The size of one text, by ``measure``, less room for the mark: a repetition must be split in the same places."""

    max_caption: ClassVar[int]
    """The same for the text that accompanies a file."""

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
        """Why nothing is sent any more; "" while the channel works."""
        self.account = account
        self._report = report
        self._refused = refused

    @abstractmethod
    def cut(self, markdown: str) -> list[Rich]:
        """Split a text into messages that fit, always in the same way. May be called on any thread."""

    @abstractmethod
    async def send(self, chat: str, part: Part) -> str:
        """Send one part and return the provider's id. Raises what PROVIDER_ERRORS lists, and UnsendableError."""

    def measure(self, text: str) -> int:
        """Return how much of ``max_message`` a text takes."""
        return len(text)

    async def show_typing(self, chat: str) -> None:
        """Show that she is thinking. Raises what PROVIDER_ERRORS lists."""
        del chat

    def may_type(self, chat: str) -> bool:
        """Whether typing may be shown now, which must leave room for a message right after it."""
        return self.shows_typing and self.budget.spare(chat)

    def may_draft(self, chat: str) -> bool:
        """Whether the provider can show in this chat what she is writing, and takes it away again by itself."""
        del chat
        return False

    async def show_draft(self, chat: str, turn: int, text: str) -> None:
        """Show what she has written so far in this turn. Raises what PROVIDER_ERRORS lists."""
        del chat, turn, text

    def trouble(self, error: Exception, chat: str) -> Trouble:
        """Say what a failed send to this chat means."""
        del chat
        return self.account.trouble(error)

    def opted_out(self, chat: str) -> str:
        """Return why nothing may be sent to this chat, "" if it may."""
        del chat
        return ""

    async def sent_already(self, message: Deliver, part: Part) -> str:
        """Look up a part that may already have been sent. Returns the provider's id, "" if none was found."""
        del message, part
        return ""

    def arrange(self, message: Deliver, cut: list[Rich]) -> list[Part]:
        """Combine the texts with the file. A text that is too long to accompany the file follows it."""
        texts = [Part(piece.text, piece.entities) for piece in cut]
        if message.media is None:
            return texts
        first = texts[0] if len(texts) == 1 and self.measure(texts[0].text) <= self.max_caption else None
        file = (first or Part(""))._replace(file=self.folder / message.media, kind=message.kind)
        return [file] if first else [file, *texts]

    async def parts(self, message: Deliver) -> list[Part]:
        """Split a message into parts that fit."""
        text = message.content
        cut = await asyncio.to_thread(self.cut, text) if len(text) > LONG else self.cut(text)
        parts = self.arrange(message, cut)
        return [part._replace(key=f"{message.key}:{number}") for number, part in enumerate(parts)]

    async def deliver(self, message: Deliver) -> None:
        """Send the remaining parts, reporting each one; then report the whole message, or why it failed."""
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
        """Send a text unchanged, once. A failure is only logged."""
        whole = Deliver(0, message.channel, message.chat, "", "text", message.content, None, 0, ambiguous=False)
        for piece in split_rich(Rich(message.content), self.max_message, self.measure):
            sent = await self._attempt(whole, Part(piece.text), doubtful=False)
            if isinstance(sent, Undelivered):
                self.log.warning("gateway.say_failed", reason=sent.reason)
                return

    async def type(self, chat: str) -> None:
        """Show that she is thinking. A failure is only logged."""
        try:
            await self.show_typing(chat)
        except PROVIDER_ERRORS as error:
            self.log.debug("gateway.typing_failed", reason=self._noted(error, chat).reason)

    async def _attempt(self, message: Deliver, part: Part, *, doubtful: bool) -> str | Undelivered:
        """Send one part. Returns its id, or why it was not sent."""
        chat, seq = message.chat, message.seq
        if why := self.opted_out(chat):
            return Undelivered(seq, why, permanent=True, blocked=True)
        if (ahead := self.budget.ahead(chat)) > MAX_WAIT:
            return Undelivered(seq, f"{self.account.provider}'s rate limit does not allow it now.", retry_after=ahead)
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
            tries=UNCLEAR_TRIES if found.fate == "unclear" else 0,
        )

    def _noted(self, error: Exception, chat: str) -> Trouble:
        """Say what an error means, and pass on what concerns more than this message."""
        found = self.trouble(error, chat)
        if found.stops:
            self._refused(found)
        elif found.error_class == "throttle":
            self.budget.pause(chat, found.retry_after)
        return found

    async def content(self, file: Path, limit: int) -> bytes:
        """Read a file that she made. Raises UnsendableError if it cannot be read or is over ``limit`` bytes."""
        try:
            data = await asyncio.to_thread(_read, file, limit)
        except OSError as error:
            raise UnsendableError(f"The file that she made cannot be read: {error.strerror}.") from None
        if data is None:
            size = f"{limit // 1_048_576} MB"
            raise UnsendableError(
                f"The file that she made is over {size}, which {self.account.provider} does not accept."
            )
        return data


def _read(path: Path, limit: int) -> bytes | None:
    return None if path.stat().st_size > limit else path.read_bytes()
