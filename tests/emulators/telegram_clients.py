"""The client of the Telegram emulator in its tests: aiogram."""

from __future__ import annotations

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer

from tests.emulators.telegram import TelegramEmulator
from tests.patience import PATIENCE

PICTURE = b"\xff\xd8\xff" + bytes(range(256)) * 40


def connected(telegram: TelegramEmulator, token: str = "") -> Bot:
    """An aiogram client of its own for a bot; use it as a context manager."""
    session = AiohttpSession(api=TelegramAPIServer.from_base(telegram.url), timeout=PATIENCE)
    return Bot(token or telegram.bot().token, session=session)
