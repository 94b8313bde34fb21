"""Runs one Discord gateway in a test, with Discord behind an emulator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from proto.gateways import Delivered, Gateway, Undelivered, channel_id
from proto.secrets import Secret
from tests.emulators.discord import DiscordEmulator
from tests.worker.gateways.channel import Channel
from worker.gateways.discord.connection import Timing
from worker.gateways.discord.gateway import DiscordGateway

TIMING: Final = Timing(shortest=0.02, longest=0.1, stable=0.5, connect=2.0, silence=5.0, invalid=0.05)
SEND: Final = "POST /channels/{channel_id}/messages"
HISTORY: Final = "GET /channels/{channel_id}/messages"


class DiscordChannel(Channel):
    """Runs a gateway whose deliveries may be tried again."""

    async def outcome(self, seq: int = 1) -> Delivered | Undelivered:
        """Wait for the outcome of a delivery, and remove it so that the next try has its own."""
        found = await super().outcome(seq)
        self.reports.remove(found)
        return found


@asynccontextmanager
async def opened(
    discord: DiscordEmulator,
    folder: Path,
    *,
    paired: bool = False,
    last_key: str | None = None,
    token: str = "",
    timing: Timing = TIMING,
) -> AsyncIterator[DiscordChannel]:
    """A running gateway of the emulator's first bot, paired with the first person if ``paired``."""
    token = token or discord.token
    account, chat = (str(discord.person.id), str(discord.channel_id)) if paired else (None, None)
    gateway = Gateway(channel_id("discord", token), "discord", Secret(token), account, chat, last_key)
    channel = DiscordChannel(
        folder, lambda media, link, log: DiscordGateway(gateway, discord.url, media, link, log, timing)
    )
    try:
        yield channel
    finally:
        await channel.close()


@asynccontextmanager
async def connected(
    discord: DiscordEmulator,
    folder: Path,
    *,
    paired: bool = False,
    last_key: str | None = None,
    timing: Timing = TIMING,
) -> AsyncIterator[DiscordChannel]:
    """A gateway that is connected."""
    async with opened(discord, folder, paired=paired, last_key=last_key, timing=timing) as channel:
        await channel.in_state("connected")
        yield channel
