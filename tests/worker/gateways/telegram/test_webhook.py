"""Telegram's webhook: its address and secret, the updates that it brings, and the errors that Telegram reports."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest
from msgspec.structs import replace

from proto.gateways import Gateway, channel_id
from proto.secrets import Secret
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_people import Person
from tests.worker.gateways.channel import Channel
from tests.worker.gateways.telegram.channel import TIMING
from worker.gateways.telegram.gateway import TelegramGateway

URL: Final = "https://hooks.example.org/hooks/0123456789abcdef"
SECRET: Final = "a-secret_1"


@pytest.fixture
def telegram() -> Iterator[TelegramEmulator]:
    with TelegramEmulator() as emulator:
        emulator.add_bot(username="persona_bot")
        yield emulator


@pytest.fixture
def person(telegram: TelegramEmulator) -> Person:
    return telegram.user(username="ann")


@asynccontextmanager
async def called(telegram: TelegramEmulator, folder: Path, secret: str = SECRET) -> AsyncIterator[Channel]:
    """A running gateway of the emulator's only bot, with a public address."""
    token = telegram.bot().token
    gateway = Gateway(
        channel_id("telegram", token),
        "telegram",
        Secret(token),
        open=True,
        credentials={"webhook_secret": Secret(secret)},
        webhook=URL,
    )
    timing = replace(TIMING, check=0.05)
    channel = Channel(folder, lambda media, link, log: TelegramGateway(gateway, telegram.url, media, link, log, timing))
    try:
        yield channel
    finally:
        await channel.close()


def brought(telegram: TelegramEmulator) -> list[bytes]:
    """The updates that Telegram would send to the webhook, which nobody polls for."""
    return [msgspec.json.encode(update) for update in telegram.bot().updates.pending]


async def test_webhook_is_registered(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """The URL and the secret are set, nothing is polled, and an update is done once it is committed or kept unread."""
    async with called(telegram, tmp_path) as channel:
        channel.refusals = 1
        await channel.in_state("connected")
        assert telegram.bot().webhook["url"] == URL
        [call] = telegram.calls("setWebhook")
        assert call.params["secret_token"] == SECRET
        person.write("one")
        person.write("two")
        numbers = [channel.webhook(body, "application/json") for body in brought(telegram)]
        broken = channel.webhook(b"{", "application/json")
        await channel.until(lambda: len(channel.webhooks_done) == 2 and channel.unread)
        assert ([item.content for item in channel.items], channel.webhooks_done) == (["one", "two"], numbers)
        assert [one.number for one in channel.unread] == [broken]
        assert telegram.calls("getUpdates") == []


async def test_calls_that_fail_are_reported(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """Failed calls that Telegram reports show in the channel's state until calls arrive again."""
    async with called(telegram, tmp_path) as channel:
        await channel.in_state("connected")
        person.write("not arrived")
        telegram.bot().webhook |= {"last_error_date": int(time.time()), "last_error_message": "Connection refused"}
        state = await channel.in_state("degraded")
        assert "Connection refused" in state.error
        assert "hooks.public_url" in state.hint
        del telegram.bot().webhook["last_error_date"]
        await channel.in_state("connected")


@pytest.mark.parametrize("secret", ["with space", "", "é", "x" * 257])
async def test_a_secret_that_telegram_takes(telegram: TelegramEmulator, tmp_path: Path, secret: str) -> None:
    """A secret that Telegram would refuse is reported before any request."""
    async with called(telegram, tmp_path, secret) as channel:
        state = await channel.in_state("stopped")
        assert "webhook_secret_file" in state.hint
        assert telegram.calls("setWebhook") == []
