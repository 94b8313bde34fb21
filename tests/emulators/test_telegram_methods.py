"""The methods of the Telegram emulator against aiogram, and against plain HTTP."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from aiogram import Bot
from aiogram.exceptions import (
    TelegramBadRequest,
    TelegramForbiddenError,
    TelegramNotFound,
    TelegramUnauthorizedError,
)
from aiogram.types import BotCommand, LinkPreviewOptions, ReplyParameters

from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_clients import connected
from tests.emulators.telegram_people import Person


async def test_get_me(bot: Bot, telegram: TelegramEmulator) -> None:
    """getMe returns the bot of a token."""
    me = await bot.get_me()
    assert (me.id, me.username, me.is_bot) == (telegram.bot().id, "persona_bot", True)


async def test_bad_tokens(bot: Bot, telegram: TelegramEmulator) -> None:
    """A token that is revoked, even in the middle of a poll, or unknown is 401; what is no token is 404."""
    poll = asyncio.ensure_future(bot.get_updates(timeout=30))
    await telegram.until_called("getUpdates")
    telegram.revoke(telegram.bot())
    with pytest.raises(TelegramUnauthorizedError):
        await poll
    with pytest.raises(TelegramUnauthorizedError):
        await bot.get_me()
    async with connected(telegram, "123456:unknown") as stranger:
        with pytest.raises(TelegramUnauthorizedError):
            await stranger.get_me()
    async with connected(telegram, "123456:no/token") as broken:
        with pytest.raises(TelegramNotFound):
            await broken.get_me()


async def test_unknown_method(telegram: TelegramEmulator) -> None:
    """A method that does not exist is 404 in the Bot API's form, and names match in any case."""
    base = f"{telegram.url}/bot{telegram.bot().token}"
    async with httpx.AsyncClient() as client:
        unknown = await client.get(f"{base}/getNothing")
        assert unknown.json() == {"ok": False, "error_code": 404, "description": "Not Found"}
        assert (await client.get(f"{base}/GETME")).json()["ok"]


async def test_the_four_body_forms(telegram: TelegramEmulator, ann: Person) -> None:
    """Query, form, multipart and JSON bodies all send a message."""
    ann.start()
    url = f"{telegram.url}/bot{telegram.bot().token}/sendMessage"
    values = {"chat_id": str(ann.id), "text": "hi"}
    async with httpx.AsyncClient() as client:
        answers = [
            await client.get(url, params=values),
            await client.post(url, data=values),
            await client.post(url, files={name: (None, value) for name, value in values.items()}),
            await client.post(url, json={"chat_id": ann.id, "text": "hi"}),
            await client.post(url, content=b"[1]", headers={"content-type": "application/json"}),
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 400]
    assert len(telegram.sent(ann.id)) == 4


async def test_send_message(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """A bot's message arrives with its reply, its entities and its preview options."""
    posted = ann.start("code42")
    assert posted.message["text"] == "/start code42"
    sent = await bot.send_message(
        ann.id,
        "<b>Hi</b> &amp; welcome",
        parse_mode="HTML",
        reply_parameters=ReplyParameters(message_id=posted.message_id),
        link_preview_options=LinkPreviewOptions(is_disabled=True),
    )
    assert sent.text == "Hi & welcome"
    assert sent.reply_to_message
    message = (await telegram.until_sent(ann.id))[0]
    assert message["entities"] == [{"type": "bold", "offset": 0, "length": 2}]
    assert message["link_preview_options"] == {"is_disabled": True}


@pytest.mark.parametrize(
    ("text", "mode", "complaint"),
    [
        ("a" * 4097, None, "message is too long"),
        ("😀" * 2049, None, "message is too long"),
        (" \n", None, "message text is empty"),
        ("<b></b>", "HTML", "message text is empty"),
        ("<b>x", "HTML", "can't parse entities: Can't find end tag corresponding to start tag"),
        ("1 < 2", "HTML", 'can\'t parse entities: Unsupported start tag ""'),
        ("done.", "MarkdownV2", r"can't parse entities: Character '\.' is reserved and must be escaped"),
        ("*x", "MarkdownV2", "can't parse entities: Can't find end of Bold entity at byte offset 0"),
    ],
)
async def test_texts_that_are_refused(bot: Bot, ann: Person, text: str, mode: str | None, complaint: str) -> None:
    """A text that is too long, empty or badly formatted is a 400 with Telegram's error text."""
    ann.start()
    with pytest.raises(TelegramBadRequest, match=complaint):
        await bot.send_message(ann.id, text, parse_mode=mode)


async def test_the_longest_text_counts_after_parsing(bot: Bot, ann: Person) -> None:
    """4096 units are counted without the tags."""
    ann.start()
    sent = await bot.send_message(ann.id, f"<b>{'😀' * 2048}</b>", parse_mode="HTML")
    assert sent.entities
    assert sent.entities[0].length == 4096


async def test_who_cannot_be_written_to(bot: Bot, ann: Person) -> None:
    """No chat: 400; a person who never wrote or who blocked the bot: 403; an unblocked one is fine again."""
    with pytest.raises(TelegramBadRequest, match="chat not found"):
        await bot.send_message(12345, "hello")
    with pytest.raises(TelegramForbiddenError, match="can't initiate conversation"):
        await bot.send_message(ann.id, "hello")
    ann.start()
    ann.block()
    with pytest.raises(TelegramForbiddenError, match="bot was blocked by the user"):
        await bot.send_message(ann.id, "hello")
    blocked = (await bot.get_updates())[1].my_chat_member
    assert blocked
    assert blocked.new_chat_member.status == "kicked"
    ann.start()
    await bot.send_message(ann.id, "hello")


async def test_editing_and_deleting(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """A bot edits and deletes its messages; an edit without a change is a 400."""
    ann.start()
    sent = await bot.send_message(ann.id, "thinking")
    edited = await bot.edit_message_text("thought", chat_id=ann.id, message_id=sent.message_id)
    assert getattr(edited, "text", "") == "thought"
    with pytest.raises(TelegramBadRequest, match="message is not modified"):
        await bot.edit_message_text("thought", chat_id=ann.id, message_id=sent.message_id)
    await bot.delete_message(ann.id, sent.message_id)
    assert telegram.world.deleted == [(ann.id, sent.message_id)]
    with pytest.raises(TelegramBadRequest, match="message to edit not found"):
        await bot.edit_message_text("gone", chat_id=ann.id, message_id=sent.message_id)


async def test_small_methods(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """Commands, chat actions and getChat."""
    ann.start()
    await bot.set_my_commands([BotCommand(command="help", description="What I can do")])
    assert [command.command for command in await bot.get_my_commands()] == ["help"]
    await bot.send_chat_action(ann.id, "typing")
    assert telegram.actions(ann.id) == ["typing"]
    assert (await bot.get_chat(ann.id)).username == "ann"


async def test_buttons(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """A pressed button comes as callback_query, which can be answered once."""
    ann.start()
    await bot.send_message(ann.id, "sure?")
    ann.press(telegram.sent(ann.id)[0], "yes")
    query = (await bot.get_updates(offset=-1))[0].callback_query
    assert query
    assert query.data == "yes"
    await bot.answer_callback_query(query.id)
    with pytest.raises(TelegramBadRequest, match="query is too old"):
        await bot.answer_callback_query(query.id)
