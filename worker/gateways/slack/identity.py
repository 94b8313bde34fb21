"""Slack's "who am I": whose tokens are these?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from proto.gateways import Identified
from proto.secrets import Secret
from worker.gateways.slack.client import Client
from worker.gateways.slack.errors import PROVIDER_ERRORS, trouble

TIMEOUT: Final = 10.0


async def identify(token: Secret, url: str, credentials: Mapping[str, Secret]) -> Identified:
    """Ask Slack; a reason says why the tokens are of no use and what to do about it.

    An app-level token is tried, too: without it Socket Mode cannot connect.
    """
    app_token = credentials.get("app_token", Secret(""))
    client = Client(url, token)
    try:
        async with asyncio.timeout(TIMEOUT):
            bot_id, name, team = await client.me()
            if app_token.reveal():
                await client.socket_url(app_token)
    except PROVIDER_ERRORS as error:
        found = trouble(error, token, app_token)
        return Identified(reason=f"{found.reason} {found.hint}")
    finally:
        await client.close()
    return Identified(bot_id, f"{name} in {team}" if team else name)
