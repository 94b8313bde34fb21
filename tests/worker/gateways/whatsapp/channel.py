"""Runs one WhatsApp gateway in a test, with Meta behind an emulator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from proto.gateways import Gateway, channel_id
from proto.secrets import Secret
from tests.emulators.meta import MetaEmulator
from tests.worker.gateways.channel import Channel
from worker.gateways.common.gateway import Timing
from worker.gateways.whatsapp.gateway import MetaGateway

OURS: Final = "+15005550007"
ANN: Final = "15557654321"
WEBHOOK: Final = "https://hooks.example.org/hooks/0123456789abcdef"
TIMING: Final = Timing(check=0.2, shortest=0.02, longest=0.1)


def credentials(meta: MetaEmulator, **wrong: str) -> dict[str, Secret]:
    """Return the account's credentials, with some of them changed, or left out if ""."""
    right = {
        "access_token": meta.access_token,
        "phone_number_id": meta.number_id,
        "app_secret": meta.app_secret,
        "verify_token": meta.verify_token,
    }
    return {name: Secret(value) for name, value in (right | wrong).items() if value}


@asynccontextmanager
async def opened(
    meta: MetaEmulator, folder: Path, *, phone: str = OURS, webhook: str = WEBHOOK, **wrong: str
) -> AsyncIterator[Channel]:
    """A running gateway of an open channel."""
    gateway = Gateway(
        channel_id("whatsapp", phone),
        "whatsapp",
        Secret(phone),
        open=True,
        phone=phone,
        credentials=credentials(meta, **wrong),
        webhook=webhook,
    )
    channel = Channel(folder, lambda media, link, log: MetaGateway(gateway, meta.url, media, link, log, TIMING))
    try:
        yield channel
    finally:
        await channel.close()
