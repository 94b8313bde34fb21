"""The mind for each provider, and the modules that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from proto.messages import MindLimits
from proto.records import EMBEDDED, EMBEDDED_MIND, Organ, Slot
from worker.base.organ_errors import OrganConfigError
from worker.organs.mind import HostCall, Mind
from worker.organs.urls import LOCAL, bare_url, base_url, versioned_url

if TYPE_CHECKING:
    from worker.organs.remote_mind import RemoteMind

_OPENAI_MODULES: Final = (
    "worker.organs.openai_mind",
    "worker.organs.openai_organs",
    "worker.organs.chat_organs",
    "openai.resources.audio",
    "openai.resources.images",
    "openai.resources.chat.completions",
    "openai.lib._client_auth",
    "anyio._backends._asyncio",
    "httpcore2._async.connection",
    "httpcore2._async.http11",
    "httpcore2._backends.anyio",
)
_ANTHROPIC_MODULES: Final = (
    "worker.organs.anthropic_mind",
    "worker.organs.chat_organs",
    "anthropic.resources.messages",
    "anyio._backends._asyncio",
    "httpcore2._async.connection",
    "httpcore2._async.http11",
    "httpcore2._backends.anyio",
)

PRELOAD: Final[Mapping[str | None, tuple[str, ...]]] = {
    None: _OPENAI_MODULES,
    LOCAL: _OPENAI_MODULES,
    "openai": _OPENAI_MODULES,
    "xai": _OPENAI_MODULES,
    "gemini": _OPENAI_MODULES,
    "anthropic": _ANTHROPIC_MODULES,
    EMBEDDED: ("worker.organs.embedded_mind",),
}
"""The modules that a provider's organs need, for the zygote to import before it forks."""


def mind_for(
    organ: Organ, limits: MindLimits, urls: Mapping[str, str], call_host: HostCall, slot: Slot = "thinking"
) -> Mind:
    """Create the mind that ``organ`` names. ``urls`` holds the operator's base URLs by provider.

    Raises OrganConfigError when the provider does not exist, the model name is missing or the url is invalid. A
    provider's SDK is imported only here, so that a persona with another mind does not pay for it.
    """
    if organ.provider == EMBEDDED and organ.name.strip():
        return _embedded(organ, urls, call_host)
    return remote_mind_for(organ, limits, urls, slot)


def remote_mind_for(organ: Organ, limits: MindLimits, urls: Mapping[str, str], slot: Slot) -> RemoteMind:
    """Create the remote chat model that ``organ`` names. Raises OrganConfigError as ``mind_for`` does."""
    base = base_url(organ, urls)
    if organ.provider == "anthropic":
        from worker.organs.anthropic_mind import AnthropicMind

        return AnthropicMind(organ, limits, bare_url(base), slot=slot)
    from worker.organs.openai_mind import OpenAIMind

    return OpenAIMind(organ, limits, versioned_url(base), slot=slot)


def _embedded(organ: Organ, urls: Mapping[str, str], call_host: HostCall) -> Mind:
    if organ.name != EMBEDDED_MIND and not urls.get(EMBEDDED):
        raise OrganConfigError(f"There is no embedded mind {organ.name!r}. The embedded mind is {EMBEDDED_MIND!r}.")
    from worker.organs.embedded_mind import EmbeddedMind

    return EmbeddedMind(call_host, urls.get(EMBEDDED, ""))
