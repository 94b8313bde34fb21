"""Sends her messages to Telegram: texts with entities; files as photos, voice messages or documents."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final, NamedTuple

from aiogram.types import BufferedInputFile, LinkPreviewOptions, MessageEntity

from worker.gateways.common.budget import Pace
from worker.gateways.common.markdown import render
from worker.gateways.common.rest import UPLOAD_TIMEOUT
from worker.gateways.common.sending import LONG, MARK, Part, Sender
from worker.gateways.common.splitting import Rich, split_rich, utf16_units
from worker.gateways.common.trouble import Refusal, Trouble
from worker.gateways.telegram.account import OddAnswerError, TelegramAccount

MAX_MESSAGE: Final = 4096 - len(MARK)
"""UTF-16 units (https://core.telegram.org/bots/api#sendmessage)."""

MAX_CAPTION: Final = 1024 - len(MARK)
"""UTF-16 units (https://core.telegram.org/bots/api#sendphoto)."""

MAX_DRAFT: Final = 2**31 - 1
"""The largest id of a draft; 0 is none. Drafts with one id are shown as one that grows
(https://core.telegram.org/bots/api#sendmessagedraft)."""

MAX_ENTITIES: Final = 100
"""Telegram ignores any further entities."""

MAX_UPLOAD: Final = 50 * 1024 * 1024
"""Bytes (https://core.telegram.org/bots/api#senddocument)."""

VOICE: Final = frozenset({".ogg", ".oga", ".opus", ".mp3", ".m4a"})
PHOTO: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})

_NO_PREVIEW: Final = LinkPreviewOptions(is_disabled=True)
"""Telegram would fetch a link to preview it, so a link that a mind was tricked into writing could leak data."""


class _Place(NamedTuple):
    """A chat, and the topic in it if it is a private chat with topics."""

    chat: int
    topic: int | None

    @classmethod
    def of(cls, place: str) -> _Place:
        chat, _, topic = place.partition(":")
        return cls(int(chat), int(topic) if topic else None)


class TelegramSender(Sender[TelegramAccount]):
    """Sends for one bot."""

    # Telegram allows one message per second in a chat, with short bursts, and 30 per second in all. Ours are a little
    # lower because the network can move requests closer together
    # (https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this).
    chat_pace = Pace(rate=0.9, burst=3.0)
    bot_pace = Pace(rate=28.0, burst=28.0)
    max_message = MAX_MESSAGE
    max_caption = MAX_CAPTION
    shows_typing = True

    def measure(self, text: str) -> int:
        return utf16_units(text)

    def cut(self, markdown: str) -> list[Rich]:
        return split_rich(render(markdown), MAX_MESSAGE)

    def trouble(self, error: Exception, chat: str) -> Trouble:
        """Say what a failed send means. 403 concerns the person, who blocked the bot, for example.

        https://core.telegram.org/api/errors#403-forbidden
        """
        found = super().trouble(error, chat)
        if isinstance(error, Refusal) and error.status == 403 and error.code is not None:
            return found._replace(error_class="recipient", fate="blocked")
        return found

    async def show_typing(self, chat: str) -> None:
        """Show typing for 5 s (https://core.telegram.org/bots/api#sendchataction)."""
        place = _Place.of(chat)
        await self.account.bot.send_chat_action(place.chat, "typing", message_thread_id=place.topic)

    def may_draft(self, chat: str) -> bool:
        """Only private chats have drafts. Their ids are their person's, which are positive; those of groups are not.

        https://core.telegram.org/bots/api#sendmessagedraft
        """
        return _Place.of(chat).chat > 0

    async def show_draft(self, chat: str, turn: int, text: str) -> None:
        """Show a draft: the part of her message that she is writing.

        Telegram removes it when a message comes, or after 30 s. Its button stops the answer; visitors get none.
        https://core.telegram.org/bots/api#sendmessagedraft
        """
        cut = await asyncio.to_thread(self.cut, text) if len(text) > LONG else self.cut(text)
        if not cut:
            return
        place, part = _Place.of(chat), Part(*cut[-1])
        button = None if self.gateway.open else True
        await self.account.bot.send_message_draft(
            place.chat,
            turn % MAX_DRAFT + 1,
            place.topic,
            part.text,
            entities=entities(part),
            can_stop=button,
            # Until the message comes that says what she said so far.
            keep_on_stop=button,
        )

    async def send(self, chat: str, part: Part) -> str:
        """Send one part. Returns no id: Telegram sends no receipts that would refer to it.

        If the person has deleted the topic, it goes to the chat itself.
        """
        place = _Place.of(chat)
        try:
            await self._send(place, part)
        except Refusal as error:
            if place.topic is None or not _is_about_the_topic(error):
                raise
            self.log.info("telegram.topic_gone", reason=self.account.trouble(error).reason)
            await asyncio.sleep(self.budget.reserve(chat))
            await self._send(place._replace(topic=None), part)
        return ""

    async def _send(self, place: _Place, part: Part) -> None:
        try:
            if part.file is None:
                await self._send_text(place, part)
            else:
                file = BufferedInputFile(await self.content(part.file, MAX_UPLOAD), part.file.name)
                await self._send_file(place, part, file)
        except OddAnswerError:
            # Telegram's answer cannot be parsed, but it reports success.
            return

    async def _send_text(self, place: _Place, part: Part) -> None:
        """Send a text with its entities; if Telegram rejects them, send it without."""
        given, bot = entities(part), self.account.bot
        # Any: arguments of aiogram's, each of a different type.
        options: dict[str, Any] = {"link_preview_options": _NO_PREVIEW, "message_thread_id": place.topic}
        try:
            await bot.send_message(place.chat, part.text, entities=given, **options)
        except Refusal as error:
            if not given or not _is_about_the_form(error):
                raise
            self.log.info("telegram.sent_plain", reason=self.account.trouble(error).reason)
            await asyncio.sleep(self.budget.reserve(str(place.chat)))
            await bot.send_message(place.chat, part.text, **options)

    async def _send_file(self, place: _Place, part: Part, file: BufferedInputFile) -> None:
        """Send a file as a voice message or photo if Telegram takes its format as such, else as a document.

        https://core.telegram.org/bots/api#sendvoice
        """
        bot, extension = self.account.bot, Path(file.filename or "").suffix.lower()
        # Any: arguments of aiogram's, each of a different type.
        options: dict[str, Any] = {"message_thread_id": place.topic, "request_timeout": int(UPLOAD_TIMEOUT)}
        text: dict[str, Any] = {"caption": part.text, "caption_entities": entities(part), **options}
        try:
            if part.kind == "audio" and extension in VOICE:
                await bot.send_voice(place.chat, file, **text)
            elif part.kind == "image" and extension in PHOTO:
                await bot.send_photo(place.chat, file, **text)
            else:
                await bot.send_document(place.chat, file, **text)
        except Refusal as error:
            if not _is_about_the_form(error):
                raise
            self.log.info("telegram.file_as_document", reason=self.account.trouble(error).reason)
            await asyncio.sleep(self.budget.reserve(str(place.chat)))
            await bot.send_document(place.chat, file, caption=part.text, **options)


def entities(part: Part) -> list[MessageEntity]:
    """Convert a part's entities to Telegram's, whose offsets are in UTF-16 units; at most ``MAX_ENTITIES``.

    https://core.telegram.org/bots/api#messageentity
    """
    made = []
    for entity in part.entities[:MAX_ENTITIES]:
        offset = utf16_units(part.text[: entity.offset])
        length = utf16_units(part.text[entity.offset : entity.offset + entity.length])
        made.append(
            MessageEntity(type=entity.type, offset=offset, length=length, url=entity.url, language=entity.language)
        )
    return made


def _is_about_the_form(error: Refusal) -> bool:
    return error.status == 400 and "chat not found" not in error.message.lower() and not _is_about_the_topic(error)


def _is_about_the_topic(error: Refusal) -> bool:
    return error.status == 400 and "thread not found" in error.message.lower()
