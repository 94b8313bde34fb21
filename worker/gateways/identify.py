"""Ask the provider whose token this is, before a channel is added."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from proto.gateways import Gateway, Identified, Identify, channel_id
from worker.gateways import gateway_type, provider_of, url_of

if TYPE_CHECKING:
    from worker.gateways.common.trouble import Trouble

TIMEOUT: Final = 10.0
PASSES: Final = "Check this machine's network, or try again later."
"""The hint for temporary trouble: nothing is retried automatically here."""


async def identify(question: Identify) -> Identified:
    """Ask the provider, for at most 10 s. ``reason`` says why the token cannot be used and what to do about it."""
    # Every process imports this module; only one that asks a provider needs its HTTP client.
    from worker.gateways.common.trouble import PROVIDER_ERRORS

    provider = provider_of(question.kind, question.credentials)
    channel = Gateway(
        channel_id(question.kind, question.token.reveal()),
        question.kind,
        question.token,
        phone=question.phone,
        credentials=question.credentials,
    )
    account = gateway_type(provider).account_type(channel, url_of(provider, question.urls))
    if found := account.unreachable() or account.unusable():
        return _refused(found, account.token_hint)
    try:
        async with asyncio.timeout(TIMEOUT):
            identity = await account.whoami()
    except PROVIDER_ERRORS as error:
        return _refused(account.trouble(error), account.token_hint)
    finally:
        await account.close()
    return Identified(*identity)


def _refused(found: Trouble, token_hint: str) -> Identified:
    hint = found.hint if found.stops else PASSES
    if found.error_class == "credential":
        hint = token_hint or hint
    return Identified(reason=f"{found.reason} {hint}")
