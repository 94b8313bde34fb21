"""Discord's "get me": whose token is it?"""

from __future__ import annotations

import asyncio
from typing import Final

from proto.gateways import Identified
from proto.secrets import Secret
from worker.gateways.discord.client import Client, is_token
from worker.gateways.discord.errors import PROVIDER_ERRORS, UNREADABLE, trouble

TIMEOUT: Final = 10.0

_TOKEN_HINT: Final = "Copy the bot's token from Discord's developer portal (Bot, Reset Token)."
_WAIT_HINT: Final = "Check this machine's network, or try again later."


async def identify(token: Secret, url: str) -> Identified:
    """Ask Discord; a reason says why the token is of no use and what to do about it."""
    if not is_token(token):
        return Identified(reason=f"This is not a Discord bot token (letters, digits, two dots). {_TOKEN_HINT}")
    client = Client(url, lambda _: None)
    try:
        async with asyncio.timeout(TIMEOUT):
            await client.enter(token)
    except (*PROVIDER_ERRORS, *UNREADABLE) as error:
        found = trouble(error, token)
        return Identified(reason=f"{found.reason} {_TOKEN_HINT if found.kind == 'stop' else _WAIT_HINT}")
    finally:
        await client.leave()
    me = client.user
    assert me
    return Identified(str(me.id), me.name)
