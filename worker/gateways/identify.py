"""Whose token is this? One question to the provider, for a channel that is about to be added."""

from __future__ import annotations

from typing import Literal

from proto.gateways import Identified
from proto.secrets import Secret


async def identify(kind: Literal["telegram", "discord"], token: Secret, url: str) -> Identified:
    """Ask the provider at ``url``, for at most 10 s; a reason says why the token is of no use and what to do."""
    match kind:
        case "telegram":
            import worker.gateways.telegram_identity as telegram

            return await telegram.identify(token, url)
        case "discord":
            import worker.gateways.discord_identity as discord

            return await discord.identify(token, url)
