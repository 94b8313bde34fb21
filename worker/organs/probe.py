"""The check whether an organ can be reached, made before the organ is saved."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from proto.messages import ChatTurn, EmbeddedOrgan, MindLimits
from proto.records import Organ, Slot
from worker import embedded
from worker.base.organ_errors import OrganConfigError, OrganUnreachable
from worker.organs.body import is_embedded, openai_url
from worker.organs.choice import mind_for
from worker.organs.mind import Mind

if TYPE_CHECKING:
    from worker.organs.openai_organs import OpenAIOrgan

PROBE_TIMEOUT: Final = 20.0

CHATTING: Final[frozenset[Slot]] = frozenset(("thinking", "eye", "researcher", "teacher"))
"""The organs that are chat models when they are remote."""


async def probe(organ: Organ, limits: MindLimits, urls: Mapping[str, str], slot: Slot = "thinking") -> str:
    """Return "" if the organ answered, otherwise tell a person why not and what to do. Takes about 20 s at most."""
    bounded = MindLimits(min(limits.first_token, PROBE_TIMEOUT), min(limits.total, PROBE_TIMEOUT), 0, limits.context)
    if not organ.name.strip():
        return _nameless(organ)
    try:
        probed = _made(organ, bounded, urls, slot)
    except OrganConfigError as error:
        return str(error)
    if isinstance(probed, str):
        return probed
    try:
        async with asyncio.timeout(PROBE_TIMEOUT + 1):
            await probed.check()
    except OrganUnreachable as error:
        # The documented text for a missing local engine already says what to do.
        return error.reason if "Please make sure" in error.reason else f"{error.reason} {error.hint}"
    finally:
        await probed.close()
    return ""


def _made(organ: Organ, limits: MindLimits, urls: Mapping[str, str], slot: Slot) -> Mind | OpenAIOrgan | str:
    """Return the organ to be checked, or for an embedded sense the result itself.

    Raises OrganConfigError when the record names an organ that does not exist.
    """
    if slot not in ("thinking", "teacher") and is_embedded(slot, organ):
        return embedded.check(cast("EmbeddedOrgan", slot))
    if slot in CHATTING:
        return mind_for(organ, limits, urls, _no_host, slot)
    url = openai_url(slot, organ, urls)
    from worker.organs.openai_organs import OpenAIOrgan

    return OpenAIOrgan(organ, limits, url, slot, Path())


def _nameless(organ: Organ) -> str:
    if organ.provider is None:
        return "No model available. Please provide a model name."
    return "A model name is required when using a remote provider."


async def _no_host(_turns: list[ChatTurn], _max_tokens: int) -> str:
    raise OrganUnreachable("A probe asks no organ host.", "")
