"""Runs one Twilio gateway in a test, with Twilio behind an emulator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from proto.gateways import Gateway, GatewayType, channel_id
from proto.secrets import Secret
from tests.emulators.twilio import FORM, TwilioEmulator
from tests.worker.gateways.channel import Channel
from worker.gateways.twilio.gateway import Timing, TwilioGateway

OURS: Final = "+15005550006"
ANN: Final = "+15557654321"
TIMING: Final = Timing(check=30.0, poll=0.05, idle=0.05, shortest=0.02, longest=0.1)


def webhook(channel: Channel, form: dict[str, str]) -> int:
    """Pass a webhook request to the gateway, as the daemon does."""
    return channel.webhook(urlencode(form).encode(), FORM)


@asynccontextmanager
async def opened(
    twilio: TwilioEmulator,
    folder: Path,
    *,
    kind: GatewayType = "sms",
    phone: str = OURS,
    webhook: str = "",
    since: float = 1.0,
    **credentials: str,
) -> AsyncIterator[Channel]:
    """A running gateway of an open channel that was created at ``since``, in epoch seconds."""
    found = {"account_sid": twilio.sid, "auth_token": twilio.token, **credentials}
    gateway = Gateway(
        channel_id(kind, phone),
        kind,
        Secret(phone),
        open=True,
        phone=phone,
        credentials={name: Secret(value) for name, value in found.items() if value},
        webhook=webhook,
        since=int(since * 1e9),
    )
    channel = Channel(folder, lambda media, link, log: TwilioGateway(gateway, twilio.url, media, link, log, TIMING))
    try:
        yield channel
    finally:
        await channel.close()
