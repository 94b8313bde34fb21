"""Tests a channel's credentials: a short-lived process asks the provider."""

from __future__ import annotations

from daemon.api.v1.objects import TestObject, moment
from daemon.channels.service import ChannelService
from daemon.ledger import OpenChannel
from daemon.runtime.clock import Clock


async def tested(channels: ChannelService, channel: OpenChannel, clock: Clock) -> TestObject:
    """Test the credentials; ``detail`` says what to do if they fail."""
    found = await channels.ask(channel)
    fault = found.reason
    if not fault and found.bot_id and channel.bot_id and found.bot_id != channel.bot_id:
        fault = "The credentials work, but they are for another account than the channel was made with: correct them."

    return TestObject(
        ok=not fault,
        identity=found.bot_name or found.bot_id or None,
        detail=fault or "The provider takes the credentials.",
        tested_at=moment(clock.time_ns()),
    )
