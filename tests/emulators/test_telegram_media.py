"""Files in both directions through the Telegram emulator."""

from __future__ import annotations

import pytest
from aiogram import Bot
from aiogram.exceptions import (
    TelegramBadRequest,
)
from aiogram.types import BufferedInputFile

from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_clients import PICTURE
from tests.emulators.telegram_people import Person


async def test_downloading_a_photo(bot: Bot, ann: Person) -> None:
    """A person's photo comes in several sizes, and the largest is the file that was sent."""
    ann.send("photo", PICTURE, caption="me")
    message = (await bot.get_updates())[0].message
    assert message
    assert message.photo
    assert message.caption == "me"
    assert [size.width for size in message.photo] == [90, 320, 800, 1280]
    found = await bot.download(message.photo[-1])
    assert found
    assert found.read() == PICTURE
    smaller = await bot.download(message.photo[0])
    assert smaller
    assert smaller.read() != PICTURE


async def test_other_media(bot: Bot, ann: Person) -> None:
    """Voice, music, round videos, documents and albums come in the form that aiogram expects."""
    ann.send("voice", b"OggS voice", duration=7)
    ann.send("audio", b"ID3 song", name="song.mp3")
    ann.send("video_note", b"film")
    ann.send("document", b"%PDF", name="a.pdf")
    ann.album([PICTURE, PICTURE], caption="both")
    messages = [update.message for update in await bot.get_updates() if update.message]
    voice, audio, note, document, one, two = messages
    assert voice.voice
    assert voice.voice.duration == 7
    assert audio.audio
    assert audio.audio.mime_type == "audio/mpeg"
    assert note.video_note
    assert document.document
    assert document.document.mime_type == "application/pdf"
    assert one.media_group_id == two.media_group_id
    assert (one.caption, two.caption) == ("both", None)


async def test_files_that_are_too_big(bot: Bot, ann: Person) -> None:
    """A bot may download at most 20 MB."""
    ann.send("document", b"big", name="a.zip", size=21 * 2**20)
    message = (await bot.get_updates())[0].message
    assert message
    assert message.document
    with pytest.raises(TelegramBadRequest, match="file is too big"):
        await bot.get_file(message.document.file_id)


async def test_sending_files(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """Uploads arrive complete, can be sent again by their id, and what is not a voice message becomes a document."""
    ann.start()
    sent = await bot.send_photo(ann.id, BufferedInputFile(PICTURE, "me.jpg"), caption="<i>me</i>", parse_mode="HTML")
    assert sent.photo
    assert sent.caption_entities
    assert telegram.file_data(sent.photo[-1].file_id) == PICTURE
    assert (await bot.send_photo(ann.id, sent.photo[-1].file_id)).photo
    assert (await bot.send_voice(ann.id, BufferedInputFile(b"OggS", "v.ogg"))).voice
    assert (await bot.send_voice(ann.id, BufferedInputFile(b"RIFF", "v.wav"))).document
    assert (await bot.send_audio(ann.id, BufferedInputFile(b"ID3", "a.mp3"))).audio
    document = (await bot.send_document(ann.id, BufferedInputFile(b"%PDF", "a.pdf"))).document
    assert document
    assert document.file_name == "a.pdf"
    assert telegram.calls("sendPhoto")[0].files
    assert "caption" in telegram.calls("sendPhoto")[0].params
    with pytest.raises(TelegramBadRequest, match="file must be non-empty"):
        await bot.send_photo(ann.id, BufferedInputFile(b"", "me.jpg"))
