"""Telegram's "get me": whose token is it?"""

from __future__ import annotations

import asyncio
from typing import Final

from aiogram.utils.token import TokenValidationError

from proto.gateways import Identified
from proto.secrets import Secret
from worker.gateways.telegram.session import PROVIDER_ERRORS, connect, trouble

TIMEOUT: Final = 10.0

_TOKEN_HINT: Final = "Ask @BotFather for the bot's token (/token)."
_WAIT_HINT: Final = "Check this machine's network, or try again later."


async def identify(token: Secret, url: str) -> Identified:
    """Ask Telegram; a reason says why the token is of no use and what to do about it."""
    try:
        bot = connect(token, url)
    except TokenValidationError as error:
        return Identified(reason=f"{trouble(error, token).reason} {_TOKEN_HINT}")
    try:
        async with asyncio.timeout(TIMEOUT):
            me = await bot.get_me()
    except PROVIDER_ERRORS as error:
        found = trouble(error, token)
        return Identified(reason=f"{found.reason} {_TOKEN_HINT if found.kind == 'token' else _WAIT_HINT}")
    finally:
        await bot.session.close()
    return Identified(str(me.id), me.username or me.first_name)
