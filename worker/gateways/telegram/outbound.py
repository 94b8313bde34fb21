"""Her messages to Telegram: in parts that it takes, in its pace, and an honest word about what became of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from aiogram import Bot
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramBadRequest,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramMigrateToChat,
    TelegramRetryAfter,
)
from aiogram.types import BufferedInputFile, LinkPreviewOptions, MessageEntity

from proto.gateways import Deliver, Delivered, PartSent, Say, Undelivered
from proto.secrets import Secret
from worker.base.log import WorkerLog
from worker.gateways.common.budget import Budget
from worker.gateways.common.markdown import render
from worker.gateways.common.splitting import Rich, split_rich, utf16_units
from worker.gateways.telegram.session import (
    PROVIDER_ERRORS,
    ProviderError,
    Trouble,
    clean,
    decoded,
    maybe_taken,
    trouble,
)

MARK: Final = "(perhaps repeated)\n"
"""Heads what may have been sent before without our learning of it: Telegram has no key for repetitions."""

MAX_MESSAGE: Final = 4096 - len(MARK)
"""UTF-16 units (Bot API, sendMessage), with room for the mark, so that a repetition is cut in the same places."""

MAX_CAPTION: Final = 1024 - len(MARK)
MAX_ENTITIES: Final = 100
MAX_WAIT: Final = 20.0
"""Seconds that a message may wait here for its turn; one that must wait longer goes back to the outbox."""

UPLOAD_TIMEOUT: Final = 120
MAX_UPLOAD: Final = 50 * 1024 * 1024
"""Bytes (Bot API, sendDocument)."""

LONG: Final = 4096
"""Characters from which Markdown is read on a thread, so that the loop goes on."""

VOICE: Final = frozenset({".ogg", ".oga", ".opus", ".mp3", ".m4a"})
PHOTO: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})

Report: TypeAlias = Callable[[PartSent | Delivered | Undelivered], None]
_NO_PREVIEW: Final = LinkPreviewOptions(is_disabled=True)
"""A previewed link is fetched by Telegram, which could carry something out that nobody clicked on."""


class Part(NamedTuple):
    """One message on Telegram: a text, or a file with its caption."""

    rich: Rich
    file: Path | None = None


class UnsendableError(Exception):
    """A file that can never be sent; the text says why."""


class Sender:
    """Sends for one bot. ``refused`` is called when Telegram refuses its token."""

    def __init__(
        self,
        bot: Bot,
        token: Secret,
        budget: Budget,
        folder: Path,
        report: Report,
        refused: Callable[[Trouble], None],
        log: WorkerLog,
    ) -> None:
        self.typing_failures = 0
        self._bot = bot
        self._token = token
        self._budget = budget
        self._folder = folder
        self._report = report
        self._refused = refused
        self._log = log

    async def deliver(self, message: Deliver) -> None:
        """Send the parts that are not yet sent, and report each, then all of it or why not."""
        all_parts = await parts(message, self._folder)
        for number in range(message.parts_sent, len(all_parts)):
            marked = message.ambiguous and number == message.parts_sent
            part = _marked(all_parts[number]) if marked else all_parts[number]
            if failure := await self._attempt(message, part):
                self._report(failure)
                return
            if number + 1 < len(all_parts):
                self._report(PartSent(message.seq, number + 1))
        self._report(Delivered(message.seq))

    async def say(self, message: Say) -> None:
        """Send a text once; a failure is logged."""
        for rich in split_rich(Rich(message.content), MAX_MESSAGE):
            if self._budget.ahead(message.chat) > MAX_WAIT:
                self._log.warning("telegram.say_failed", reason="no room in Telegram's pace")
                return
            await asyncio.sleep(self._budget.reserve(message.chat))
            try:
                await self._send_text(message.chat, rich)
            except PROVIDER_ERRORS as error:
                self._note(error)
                self._log.warning("telegram.say_failed", reason=trouble(error, self._token).reason)
                return

    async def typing(self, chat: str) -> None:
        """Show that she is thinking; it goes on for 5 s (Bot API, sendChatAction). A failure is only counted."""
        try:
            await self._bot.send_chat_action(int(chat), "typing")
        except PROVIDER_ERRORS as error:
            self.typing_failures += 1
            self._note(error)
            self._log.debug("telegram.typing_failed", failures=self.typing_failures)

    async def _attempt(self, message: Deliver, part: Part) -> Undelivered | None:
        """Send one part; returns why it was not taken, None when it was."""
        if (ahead := self._budget.ahead(message.chat)) > MAX_WAIT:
            return Undelivered(message.seq, "Telegram's pace leaves no room for it now.", retry_after=ahead)
        await asyncio.sleep(self._budget.reserve(message.chat))
        try:
            await self._send(message, part)
        except PROVIDER_ERRORS as error:
            if decoded(error):
                return None
            self._note(error, message.chat)
            return undelivered(message.seq, error, self._token)
        except UnsendableError as error:
            return Undelivered(message.seq, str(error), permanent=True)
        return None

    async def _send(self, message: Deliver, part: Part) -> None:
        if part.file is None:
            await self._send_text(message.chat, part.rich)
            return
        file = BufferedInputFile(await asyncio.to_thread(_read, part.file), part.file.name)
        try:
            await self._send_file(message, part, file)
        except TelegramBadRequest as error:
            if _no_such_chat(error):
                raise
            self._log.info("telegram.file_as_document", reason=clean(error.message, self._token.reveal()))
            await asyncio.sleep(self._budget.reserve(message.chat))
            await self._bot.send_document(
                int(message.chat), file, caption=part.rich.text, request_timeout=UPLOAD_TIMEOUT
            )

    async def _send_text(self, chat: str, rich: Rich) -> None:
        """Send with entities; without them, should Telegram find fault with one."""
        given = entities(rich)
        try:
            await self._bot.send_message(int(chat), rich.text, entities=given, link_preview_options=_NO_PREVIEW)
        except TelegramBadRequest as error:
            if not given or _no_such_chat(error):
                raise
            self._log.info("telegram.sent_plain", reason=clean(error.message, self._token.reveal()))
            await asyncio.sleep(self._budget.reserve(chat))
            await self._bot.send_message(int(chat), rich.text, link_preview_options=_NO_PREVIEW)

    async def _send_file(self, message: Deliver, part: Part, file: BufferedInputFile) -> None:
        """Send a file as what it is; Telegram takes only some formats as voices and photos."""
        chat, caption, given, limit = int(message.chat), part.rich.text, entities(part.rich), UPLOAD_TIMEOUT
        extension = Path(file.filename or "").suffix.lower()
        if message.kind == "audio" and extension in VOICE:
            await self._bot.send_voice(chat, file, caption=caption, caption_entities=given, request_timeout=limit)
        elif message.kind == "image" and extension in PHOTO:
            await self._bot.send_photo(chat, file, caption=caption, caption_entities=given, request_timeout=limit)
        else:
            await self._bot.send_document(chat, file, caption=caption, caption_entities=given, request_timeout=limit)

    def _note(self, error: ProviderError, chat: str = "") -> None:
        """Let the rest of the gateway know what concerns more than this message."""
        if isinstance(error, TelegramRetryAfter) and chat:
            self._budget.pause(chat, error.retry_after)
        if (found := trouble(error, self._token)).kind == "token":
            self._refused(found)


async def parts(message: Deliver, folder: Path) -> list[Part]:
    """Cut a message into what Telegram takes; the same message always in the same way.

    A caption that is too long follows its file as text.
    """
    rich = await asyncio.to_thread(render, message.content) if len(message.content) > LONG else render(message.content)
    if message.media is None:
        return [Part(piece) for piece in split_rich(rich, MAX_MESSAGE)]
    file = folder / message.media
    if utf16_units(rich.text) <= MAX_CAPTION:
        return [Part(rich, file)]
    return [Part(Rich(""), file), *(Part(piece) for piece in split_rich(rich, MAX_MESSAGE))]


def entities(rich: Rich) -> list[MessageEntity]:
    """Telegram's entities, whose offsets are in UTF-16 units; it looks at the first hundred only."""
    made = []
    for entity in rich.entities[:MAX_ENTITIES]:
        offset = utf16_units(rich.text[: entity.offset])
        length = utf16_units(rich.text[entity.offset : entity.offset + entity.length])
        made.append(
            MessageEntity(type=entity.type, offset=offset, length=length, url=entity.url, language=entity.language)
        )
    return made


def undelivered(seq: int, error: ProviderError, token: Secret) -> Undelivered:
    """Say of what kind a failure is."""
    reason = trouble(error, token).reason
    match error:
        case TelegramForbiddenError():
            return Undelivered(seq, reason, permanent=True, blocked=True)
        case TelegramRetryAfter():
            return Undelivered(seq, reason, retry_after=float(error.retry_after))
        case TelegramEntityTooLarge() | TelegramMigrateToChat() | TelegramBadRequest():
            return Undelivered(seq, reason, permanent=True)
        case ClientDecodeError():
            return Undelivered(seq, reason, ambiguous=True)
        case _:
            return Undelivered(seq, reason, ambiguous=maybe_taken(error))


def _marked(part: Part) -> Part:
    moved = tuple(entity._replace(offset=entity.offset + len(MARK)) for entity in part.rich.entities)
    return part._replace(rich=Rich(MARK + part.rich.text, moved))


def _no_such_chat(error: TelegramBadRequest) -> bool:
    return "chat not found" in error.message.lower()


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_UPLOAD:
            raise UnsendableError("The file that she made is over 50 MB, which Telegram does not take.")
        return path.read_bytes()
    except OSError as error:
        raise UnsendableError(f"The file that she made cannot be read: {error.strerror}.") from error
