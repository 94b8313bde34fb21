"""What a bot gets from the Telegram emulator, and who may poll for it."""

from __future__ import annotations

import asyncio
import http.client
import threading

import pytest
from aiogram import Bot
from aiogram.exceptions import (
    TelegramConflictError,
)

from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_clients import connected
from tests.emulators.telegram_people import Person
from tests.patience import PATIENCE


async def test_a_poll_waits_for_a_message(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """A long poll stays open until somebody writes."""
    poll = asyncio.ensure_future(bot.get_updates(timeout=30))
    await telegram.until_called("getUpdates")
    assert not poll.done()
    posted = ann.write("Hello @persona_bot /start 😀")
    update = (await poll)[0]
    assert update.update_id == posted.update_id
    assert update.message
    assert update.message.text == "Hello @persona_bot /start 😀"
    assert update.message.chat.id == ann.id > 2**32
    assert [e.type for e in update.message.entities or []] == ["mention", "bot_command"]


async def test_a_poll_ends_empty_after_its_timeout(bot: Bot) -> None:
    """A long poll without news returns nothing when its time is up."""
    assert await bot.get_updates(timeout=1) == []


async def test_updates_come_again_until_confirmed(bot: Bot, ann: Person) -> None:
    """An update is delivered until a poll with a higher offset confirms it."""
    first, second = ann.write("one"), ann.write("two")
    assert first.update_id is not None
    assert second.update_id == first.update_id + 1
    assert [u.update_id for u in await bot.get_updates()] == [first.update_id, second.update_id]
    assert [u.update_id for u in await bot.get_updates(limit=1)] == [first.update_id]
    assert [u.update_id for u in await bot.get_updates(offset=second.update_id)] == [second.update_id]
    assert [u.update_id for u in await bot.get_updates()] == [second.update_id]
    assert await bot.get_updates(offset=second.update_id + 1) == []


async def test_a_negative_offset_forgets_the_older_ones(bot: Bot, ann: Person) -> None:
    """A negative offset counts from the end and confirms everything before."""
    posted = [ann.write(str(number)) for number in range(3)]
    assert [u.update_id for u in await bot.get_updates(offset=-1)] == [posted[2].update_id]
    assert [u.update_id for u in await bot.get_updates()] == [posted[2].update_id]


async def test_ids_may_jump_down(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """After a quiet week ids continue anywhere, and an earlier offset still brings the new updates."""
    old = ann.write("before").update_id
    assert old is not None
    await bot.get_updates(offset=old + 1)
    telegram.bot().updates.jump(77)
    ann.write("after")
    assert [u.update_id for u in await bot.get_updates(offset=old + 1)] == [77]


async def test_allowed_updates_are_remembered(bot: Bot, ann: Person) -> None:
    """Updates that a bot did not ask for are never queued."""
    await bot.get_updates(allowed_updates=["message"])
    posted = ann.write("first")
    assert ann.edit(posted, "changed").update_id is None
    assert len(await bot.get_updates()) == 1


async def test_an_edit_comes_as_edited_message(bot: Bot, ann: Person) -> None:
    """A changed message keeps its number and comes as edited_message."""
    posted = ann.write("frist")
    ann.edit(posted, "first")
    edited = (await bot.get_updates())[1].edited_message
    assert edited
    assert (edited.message_id, edited.text) == (posted.message_id, "first")
    assert edited.edit_date


async def test_a_second_poller_ends_the_first(bot: Bot, telegram: TelegramEmulator) -> None:
    """The poll that is open ends with 409 when another one begins, and the emulator has seen two at once."""
    first = asyncio.ensure_future(bot.get_updates(timeout=30))
    await telegram.until_called("getUpdates")
    async with connected(telegram) as other:
        second = asyncio.ensure_future(other.get_updates(timeout=30))
        with pytest.raises(TelegramConflictError, match="make sure that only one bot instance is running"):
            await first
        assert telegram.bot().most_polls == 2
        telegram.user().write("goes on")
        assert len(await second) == 1


async def test_a_poller_that_died_is_not_counted(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """A new poll after the client broke off the old one does not count as a second poller."""
    async with connected(telegram) as dead:
        poll = asyncio.ensure_future(dead.get_updates(timeout=30))
        await telegram.until_called("getUpdates")
        poll.cancel()
    ann.write("hello")
    assert len(await bot.get_updates(timeout=5)) == 1
    assert telegram.bot().most_polls == 1


def test_a_poller_that_is_replaced_at_once_is_not_counted(telegram: TelegramEmulator, ann: Person) -> None:
    """A client that breaks off at the moment when the next one polls does not count as a second poller."""
    base = f"/bot{telegram.bot().token}"
    old, new = (http.client.HTTPConnection("127.0.0.1", telegram.server.port, timeout=PATIENCE) for _ in range(2))
    new.request("GET", f"{base}/getMe")
    new.getresponse().read()
    old.request("GET", f"{base}/getUpdates?timeout=30")
    telegram.wait_for_calls("getUpdates")
    busy = threading.Event()
    telegram.server.loop.call_soon_threadsafe(busy.wait)
    old.close()
    new.request("GET", f"{base}/getUpdates?timeout=30")
    busy.set()
    telegram.wait_for_calls("getUpdates", 2)
    ann.write("hello")
    assert b"hello" in new.getresponse().read()
    new.close()
    assert telegram.bot().most_polls == 1


async def test_no_polling_while_a_webhook_is_set(bot: Bot, telegram: TelegramEmulator) -> None:
    """setWebhook ends a poll, getUpdates answers 409 until deleteWebhook."""
    poll = asyncio.ensure_future(bot.get_updates(timeout=30))
    await telegram.until_called("getUpdates")
    await bot.set_webhook("https://example.org/hook")
    with pytest.raises(TelegramConflictError, match="terminated by setWebhook"):
        await poll
    with pytest.raises(TelegramConflictError, match="webhook is active"):
        await bot.get_updates()
    assert (await bot.get_webhook_info()).url == "https://example.org/hook"
    await bot.delete_webhook()
    assert await bot.get_updates() == []


async def test_groups_and_privacy(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """In a group a bot sees what is meant for it, unless its privacy mode is off."""
    group = telegram.group("Family")
    assert ann.write("just us", chat=group).update_id is None
    ann.write("@persona_bot are you there?", chat=group)
    sent = await bot.send_message(group.id, "yes")
    ann.write("good", chat=group, reply_to=sent.message_id)
    texts = [update.message.text for update in await bot.get_updates() if update.message]
    assert texts == ["@persona_bot are you there?", "good"]
    telegram.bot().reads_groups = True
    assert ann.write("just us", chat=group).update_id
