"""The Telegram emulator's faults."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from aiogram import Bot
from aiogram.exceptions import (
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)

from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_faults import FloodRule
from tests.emulators.telegram_people import Person


async def test_scripted_errors(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """Faults answer the next calls of a method, and then everything works again."""
    ann.start()
    telegram.fail(429, "sendMessage", retry_after=17)
    with pytest.raises(TelegramRetryAfter) as flooded:
        await bot.send_message(ann.id, "hello")
    assert flooded.value.retry_after == 17
    telegram.fail(500, times=2)
    for _ in range(2):
        with pytest.raises(TelegramServerError):
            await bot.get_me()
    telegram.fail(401, "getUpdates", None)
    for _ in range(3):
        with pytest.raises(TelegramUnauthorizedError):
            await bot.get_updates()
    telegram.heal()
    await bot.get_updates()
    await bot.send_message(ann.id, "hello")


async def test_a_web_page_instead_of_an_answer(telegram: TelegramEmulator) -> None:
    """A 502 comes from the proxy in front and has HTML."""
    telegram.fail(502)
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{telegram.url}/bot{telegram.bot().token}/getMe")
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html; charset=utf-8")


async def test_hang_and_drop(bot: Bot, telegram: TelegramEmulator) -> None:
    """A hanging call is answered once healed, a dropped one breaks the connection, a slow one only takes longer."""
    telegram.fail("hang", "getMe")
    call = asyncio.ensure_future(bot.get_me())
    await telegram.until_called("getMe")
    assert not call.done()
    telegram.heal()
    assert (await call).id == telegram.bot().id
    telegram.fail("hang", "getMe")
    with pytest.raises(TelegramNetworkError):
        await bot.get_me(request_timeout=1)
    telegram.fail("drop")
    with pytest.raises(TelegramNetworkError):
        await bot.get_me()
    telegram.fail("slow", seconds=0.1)
    assert (await bot.get_me()).id == telegram.bot().id


@pytest.mark.parametrize("kind", ["lose", "lose_hang"])
async def test_an_ambiguous_send(bot: Bot, telegram: TelegramEmulator, ann: Person, kind: str) -> None:
    """A send can be accepted while its answer is lost."""
    ann.start()
    telegram.fail("lose" if kind == "lose" else "lose_hang", "sendMessage")
    with pytest.raises(TelegramNetworkError):
        await bot.send_message(ann.id, "hello", request_timeout=1)
    assert [message["text"] for message in telegram.sent(ann.id)] == ["hello"]
    assert telegram.calls("sendMessage")[0].status is None


async def test_an_outage(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """The server goes down in the middle of a poll and comes back at the same address with the waiting updates."""
    poll = asyncio.ensure_future(bot.get_updates(timeout=30))
    await telegram.until_called("getUpdates")
    url = telegram.url
    telegram.down()
    with pytest.raises(TelegramNetworkError):
        await poll
    with pytest.raises(TelegramNetworkError):
        await bot.get_me()
    ann.write("while you were away")
    telegram.up()
    assert telegram.url == url
    assert len(await bot.get_updates()) == 1


async def test_the_rule_against_flooding(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """A short burst passes; more is refused with the time to wait."""
    ann.start()
    telegram.flood(FloodRule(burst=2, per_second=0.01))
    await bot.send_message(ann.id, "one")
    await bot.send_message(ann.id, "two")
    with pytest.raises(TelegramRetryAfter) as flooded:
        await bot.send_message(ann.id, "three")
    assert 90 < flooded.value.retry_after <= 100
    telegram.flood(on=False)
    await bot.send_message(ann.id, "three")
