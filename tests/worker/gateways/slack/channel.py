"""Runs one Slack gateway in a test, with Slack behind an emulator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from proto.gateways import Gateway, channel_id
from proto.secrets import Secret
from tests.emulators.slack import SlackEmulator
from tests.worker.gateways.channel import Channel
from worker.gateways.slack.gateway import SlackGateway, Timing

TIMING: Final = Timing(ping=0.2, silence=5.0, check=0.05, shortest=0.02, longest=0.1)


@asynccontextmanager
async def opened(slack: SlackEmulator, folder: Path, *, webhook: str = "", token: str = "") -> AsyncIterator[Channel]:
    """A running gateway of the emulator's app."""
    secret = Secret(token or slack.bot_token)
    gateway = Gateway(
        channel_id("slack", secret.reveal()),
        "slack",
        secret,
        open=True,
        credentials={"app_token": Secret(slack.app_token)},
        webhook=webhook,
    )
    channel = Channel(folder, lambda media, link, log: SlackGateway(gateway, slack.url, media, link, log, TIMING))
    try:
        yield channel
    finally:
        await channel.close()


@asynccontextmanager
async def connected(slack: SlackEmulator, folder: Path) -> AsyncIterator[Channel]:
    """A gateway that is connected."""
    async with opened(slack, folder) as channel:
        await channel.in_state("connected")
        yield channel
