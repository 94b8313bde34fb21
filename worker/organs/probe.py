"""Can this organ be reached? Asked before an organ is saved."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from proto.messages import ChatTurn, MindLimits
from proto.records import Organ
from worker.organs.mind import MindConfigError, MindUnreachable, mind_for

PROBE_TIMEOUT: Final = 20.0


async def probe(organ: Organ, limits: MindLimits, urls: Mapping[str, str]) -> str:
    """Return "" when the organ answered, else why not and what to do, in words for a person. Takes at most 20 s."""
    bounded = MindLimits(min(limits.first_token, PROBE_TIMEOUT), min(limits.total, PROBE_TIMEOUT), 0)
    if not organ.name.strip():
        return _nameless(organ)
    try:
        mind = mind_for(organ, bounded, urls, _no_host)
    except MindConfigError as error:
        return str(error)
    try:
        async with asyncio.timeout(PROBE_TIMEOUT + 1):
            await mind.check()
    except MindUnreachable as error:
        # The documented text of a local engine that is not there already says what to do.
        return error.reason if "Please make sure" in error.reason else f"{error.reason} {error.hint}"
    finally:
        await mind.close()
    return ""


def _nameless(organ: Organ) -> str:
    if organ.provider is None:
        return "No model available. Please provide a model name."
    return "A model name is required when using a remote provider."


async def _no_host(_turns: list[ChatTurn], _max_tokens: int) -> str:
    raise MindUnreachable("A probe asks no organ host.", "")
