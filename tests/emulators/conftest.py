"""Telegram on loopback with one bot and one person."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from aiogram import Bot

from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_clients import connected
from tests.emulators.telegram_people import Person


@pytest.fixture
def telegram() -> Iterator[TelegramEmulator]:
    with TelegramEmulator() as emulator:
        emulator.add_bot(username="persona_bot")
        yield emulator


@pytest.fixture
async def bot(telegram: TelegramEmulator) -> AsyncIterator[Bot]:
    async with connected(telegram) as client:
        yield client


@pytest.fixture
def ann(telegram: TelegramEmulator) -> Person:
    return telegram.user(username="ann")
