"""Runs one Telegram gateway in a test, with Telegram behind an emulator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from proto.gateways import Gateway, channel_id
from proto.secrets import Secret
from tests.emulators.telegram import TelegramEmulator
from tests.worker.gateways.channel import Channel
from worker.gateways.telegram.gateway import TelegramGateway, Timing

TIMING: Final = Timing(poll=2.0, margin=1.0, conflict=0.3, shortest=0.02, longest=0.1, album=0.3, draft=0.02)


@asynccontextmanager
async def opened(
    telegram: TelegramEmulator,
    folder: Path,
    *,
    account: str | None = None,
    token: str = "",
    timing: Timing = TIMING,
    is_open: bool = False,
) -> AsyncIterator[Channel]:
    """A running gateway of the emulator's only bot."""
    token = token or telegram.bot().token
    gateway = Gateway(channel_id("telegram", token), "telegram", Secret(token), account, open=is_open)
    channel = Channel(folder, lambda media, link, log: TelegramGateway(gateway, telegram.url, media, link, log, timing))
    try:
        yield channel
    finally:
        await channel.close()


@asynccontextmanager
async def connected(
    telegram: TelegramEmulator, folder: Path, *, account: str | None = None, is_open: bool = False
) -> AsyncIterator[Channel]:
    """A gateway that is connected."""
    async with opened(telegram, folder, account=account, is_open=is_open) as channel:
        await channel.in_state("connected")
        yield channel
