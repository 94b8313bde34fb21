"""Twilio's "who am I": is this account active, and is the number its own?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from proto.gateways import GatewayType, Identified
from proto.secrets import Secret
from worker.gateways.common.gateway import StoppedError
from worker.gateways.common.rest import PROVIDER_ERRORS
from worker.gateways.twilio.api import Twilio, digits, trouble

TIMEOUT: Final = 10.0


async def identify(kind: GatewayType, phone: str, credentials: Mapping[str, Secret], url: str) -> Identified:
    """Ask Twilio; a reason says why the account or the number is of no use and what to do about it."""
    twilio = Twilio(url, credentials)
    if lacking := twilio.missing(credentials, phone):
        return Identified(reason=f"{lacking.reason} {lacking.hint}")
    try:
        async with asyncio.timeout(TIMEOUT):
            number = await twilio.sign_in(kind, phone)
    except StoppedError as error:
        return Identified(reason=f"{error.trouble.reason} {error.trouble.hint}")
    except PROVIDER_ERRORS as error:
        found = trouble(error)
        return Identified(reason=f"{found.reason} {found.hint}")
    finally:
        await twilio.close()
    return Identified(digits(phone), (number.friendly_name if number else "") or phone)
