"""Each test of the contract runs once with every provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

import pytest

from tests.emulators.discord import DiscordEmulator
from tests.emulators.front import opened
from tests.emulators.meta import MetaEmulator
from tests.emulators.slack import SlackEmulator
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.twilio import TwilioEmulator
from tests.worker.gateways.contract import twilio as sms
from tests.worker.gateways.contract.discord import Discord
from tests.worker.gateways.contract.provider import Provider
from tests.worker.gateways.contract.slack import Slack
from tests.worker.gateways.contract.telegram import Telegram
from tests.worker.gateways.contract.whatsapp import WhatsApp


async def telegram(stack: AsyncExitStack) -> Provider:
    emulator = stack.enter_context(TelegramEmulator())
    emulator.add_bot(username="her_bot")
    return Telegram(emulator, await stack.enter_async_context(opened(emulator.url)))


async def discord(stack: AsyncExitStack) -> Provider:
    emulator = stack.enter_context(DiscordEmulator(name="her_bot"))
    return Discord(emulator, await stack.enter_async_context(opened(emulator.url.removesuffix("/api/v10"))))


async def slack(stack: AsyncExitStack) -> Provider:
    emulator = stack.enter_context(SlackEmulator())
    return Slack(emulator, await stack.enter_async_context(opened(emulator.url.removesuffix("/api/"))))


async def twilio(stack: AsyncExitStack) -> Provider:
    emulator = stack.enter_context(TwilioEmulator(sms.OURS))
    return sms.Twilio(emulator, await stack.enter_async_context(opened(emulator.url)))


async def whatsapp(stack: AsyncExitStack) -> Provider:
    emulator = stack.enter_context(MetaEmulator())
    return WhatsApp(emulator, await stack.enter_async_context(opened(emulator.url)))


PROVIDERS: Final[list[Callable[[AsyncExitStack], Awaitable[Provider]]]] = [telegram, discord, slack, twilio, whatsapp]


@pytest.fixture(params=PROVIDERS, ids=lambda make: make.__name__)
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[Provider]:
    """One provider with its emulator and the fault-injecting front door."""
    async with AsyncExitStack() as stack:
        yield await request.param(stack)
