"""WhatsApp's "who am I": is the token good, and for which number?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from proto.gateways import Identified
from proto.secrets import Secret
from worker.gateways.common.rest import PROVIDER_ERRORS
from worker.gateways.whatsapp.api import NUMBER_HINT, Meta, missing, trouble

TIMEOUT: Final = 10.0


async def identify(phone: str, credentials: Mapping[str, Secret], url: str) -> Identified:
    """Ask Meta; a reason says why the token or the number is of no use and what to do about it."""
    if lacking := missing(credentials):
        return Identified(reason=f"{lacking.reason} {lacking.hint}")
    meta = Meta(url, credentials)
    try:
        async with asyncio.timeout(TIMEOUT):
            number = await meta.number()
    except PROVIDER_ERRORS as error:
        found = trouble(error)
        return Identified(reason=f"{found.reason} {found.hint}")
    finally:
        await meta.close()
    if phone and number.digits != phone.removeprefix("+"):
        told = f"The account's phone_number_id is that of {number.display_phone_number}, not {phone}."
        return Identified(reason=f"{told} {NUMBER_HINT}")
    return Identified(number.digits, number.verified_name or number.display_phone_number)
