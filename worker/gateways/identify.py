"""Whose token is this? One question to the provider, for a channel that is about to be added."""

from __future__ import annotations

from typing import Literal

from proto.messages import Identified
from proto.secrets import Secret


async def identify(kind: Literal["telegram", "discord"], token: Secret, url: str) -> Identified:
    """Ask the provider at ``url``, for at most 10 s; a reason says why the token is of no use and what to do."""
    match kind:
        case "telegram":
            from worker.gateways import telegram_identity

            return await telegram_identity.identify(token, url)
        case "discord":
            from worker.gateways import discord_identity

            return await discord_identity.identify(token, url)
