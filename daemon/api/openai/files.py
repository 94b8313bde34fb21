"""Pictures and recordings of a request, in her media folder before the ledger or her process hears of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

from daemon.api.openai.refusals import Refused
from daemon.api.openai.talk import Message
from daemon.ledger import New, Piece
from daemon.logging.log import Log
from daemon.personas.media import FOLDER, Incoming, TooLarge, Uploads
from daemon.personas.personas import Personas


class Stored:
    """The files of one request. ``messages`` name them. Those that are not ``keep``ed are removed in the end."""

    def __init__(self, messages: list[New], incoming: list[Incoming]) -> None:
        self.messages = messages
        self.incoming = incoming
        self.kept: set[str] = set()
        self.is_unsure = False

    @property
    def pieces(self) -> list[Piece]:
        """Everything that is new, in order."""
        return [piece for message in self.messages for piece in message.pieces]

    def keep(self, names: Collection[str | None]) -> None:
        """The ledger speaks of these."""
        self.kept.update(name for name in names if name)

    def leave(self) -> None:
        """Whether the ledger speaks of them is not known: the next start finds out."""
        self.is_unsure = True

    def settle(self) -> None:
        """Remove the marks of what is kept, and everything else. Blocks."""
        for one in self.incoming:
            if one.name in self.kept:
                one.unmark()
            elif not self.is_unsure:
                one.drop()


class Files:
    """Stores the files of requests; ``most`` bounds each in bytes."""

    def __init__(self, personas: Personas, uploads: Uploads, most: int, log: Log) -> None:
        self._personas = personas
        self._uploads = uploads
        self._most = most
        self._log = log

    @asynccontextmanager
    async def stored(self, persona_id: str, messages: Sequence[Message]) -> AsyncIterator[Stored]:
        """Store the files of new messages for the length of the block, and those that are kept for good.

        Raises Refused.
        """
        stored = Stored([], [])
        try:
            try:
                for message in messages:
                    stored.messages.append(await self._message(persona_id, message, stored))
            except TooLarge:
                words = f"A picture or recording is over the limit of {self._most} bytes: send a smaller one."
                raise Refused(413, words, param="messages", code="file_too_large") from None
            except OSError as found:
                words = f"Nothing was kept: a file cannot be stored ({found.strerror})."
                raise Refused(507, words, code="disk_full") from found
            yield stored
        finally:
            if stored.incoming:
                try:
                    await self._uploads.run(stored.settle)
                except OSError as found:
                    self._log.warning("media.upload_stays", persona=persona_id, reason=str(found))

    async def _message(self, persona_id: str, message: Message, stored: Stored) -> New:
        """A text that comes with files is the caption of the first."""
        if not message.files:
            return New(message.key, [Piece("text", message.text)])
        pieces, caption = list[Piece](), message.text
        for file in message.files:
            folder = self._personas.folder(persona_id) / FOLDER
            incoming = await self._uploads.run(Incoming, folder, file.kind, file.extension, self._most)
            stored.incoming.append(incoming)
            await self._uploads.run(incoming.write, memoryview(file.data))
            await self._uploads.run(incoming.keep)
            pieces.append(Piece(file.kind, caption, incoming.name))
            caption = ""
        return New(message.key, pieces)
