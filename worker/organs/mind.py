"""The mind: what a persona thinks with, chosen by her organ's provider."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

from proto.messages import ChatTurn, Line, Memory, MindLimits
from proto.records import EMBEDDED, EMBEDDED_MIND, Organ, Slot
from worker.memory import CONSOLIDATION_TOKENS, chunks, consolidation_turns, parse_consolidation
from worker.organs.errors import OrganConfigError, OrganUnreachable
from worker.prompt import Prompt
from worker.tools import Tools

if TYPE_CHECKING:
    from worker.organs.remote_mind import RemoteMind

HostCall: TypeAlias = Callable[[list[ChatTurn], int], Awaitable[str]]
"""Asks the organ host: turns and the most tokens to answer with. Raises OrganUnreachable."""

LOCAL: Final = "local"
"""How settings name the local inference engine, whose provider is null in a record."""

PROVIDERS: Final = ("openai", "anthropic", "xai", "gemini")

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
"""Modules that organs of this provider need, for a zygote to import before it forks her."""

_VERSIONED: Final = re.compile(r"/v\d+(?:(?:alpha|beta)\d*)?(?:/|\Z)")


MindUnreachable = OrganUnreachable
MindConfigError = OrganConfigError
"""What these are called where the organ can only be a mind."""


class Mind(ABC):
    """One mind. Every call raises OrganUnreachable when there is no answer."""

    @abstractmethod
    async def think(self, turns: list[ChatTurn], max_tokens: int) -> str:
        """Return the answer to ``turns``: never empty, without the model's own reasoning."""

    @abstractmethod
    async def check(self) -> None:
        """Make the smallest exchange that proves the mind to be there."""

    @abstractmethod
    async def answer(self, prompt: Prompt, tools: Tools) -> str:
        """Return her reply to the new words of a beat; "" only when ``tools`` made something that says it all."""

    async def consolidate(self, name: str, lines: list[Line], memory: Memory) -> Memory:
        """Fold ``lines`` into ``memory`` and return the files that changed; ``name`` is hers.

        Raise ConsolidationError when the mind's answer is not in the asked form.
        """
        changed: Memory = {}
        for part in chunks(lines):
            now = {**memory, **changed}
            answer = await self.think(consolidation_turns(name, part, now), CONSOLIDATION_TOKENS)
            changed |= parse_consolidation(answer, now)
        return changed

    async def close(self) -> None:
        """Leave connections; a mind that holds none has nothing to do."""
        return


def mind_for(
    organ: Organ, limits: MindLimits, urls: Mapping[str, str], call_host: HostCall, slot: Slot = "thinking"
) -> Mind:
    """Make the mind that ``organ`` names; ``urls`` holds the operator's base URL by provider.

    Raise OrganConfigError for a provider that does not exist, a missing model name or a url that is none. The SDK of
    a provider is imported here and not before: an idle persona of another mind does not pay for it.
    """
    if organ.provider == EMBEDDED and organ.name.strip():
        return _embedded(organ, urls, call_host)
    return remote_mind_for(organ, limits, urls, slot)


def remote_mind_for(organ: Organ, limits: MindLimits, urls: Mapping[str, str], slot: Slot) -> RemoteMind:
    """Make the chat model behind HTTP that ``organ`` names. Raise OrganConfigError as ``mind_for`` does."""
    base = base_url(organ, urls)
    if organ.provider == "anthropic":
        from worker.organs.anthropic_mind import AnthropicMind

        return AnthropicMind(organ, limits, bare_url(base), slot=slot)
    from worker.organs.openai_mind import OpenAIMind

    return OpenAIMind(organ, limits, versioned_url(base), slot=slot)


def base_url(organ: Organ, urls: Mapping[str, str]) -> str:
    """Where a remote organ is. Raise OrganConfigError for one without a model name or a provider there is."""
    if not organ.name.strip():
        raise OrganConfigError("No model available. Please provide a model name.")
    if organ.provider not in (None, LOCAL, *PROVIDERS):
        raise OrganConfigError(
            f"There is no provider {organ.provider!r}. Use one of {', '.join(PROVIDERS)} or {EMBEDDED}, leave it out "
            "for the local inference engine, or use openai with a url for any OpenAI-compatible server."
        )
    return organ.url or urls.get(organ.provider or LOCAL, "")


def versioned_url(url: str) -> str:
    """Return an OpenAI base URL: ``/v1`` is added unless the path names a version, as Gemini's ``/v1beta/openai``."""
    url = _checked(url)
    return url if _VERSIONED.search(urlsplit(url).path) else f"{url}/v1"


def bare_url(url: str) -> str:
    """Return an Anthropic base URL, whose SDK adds the version itself."""
    return _checked(url).removesuffix("/v1")


def _checked(url: str) -> str:
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise OrganConfigError(f"The url of an organ must be http:// or https:// with a host, not {url!r}.")
    return url.strip().rstrip("/")


def _embedded(organ: Organ, urls: Mapping[str, str], call_host: HostCall) -> Mind:
    if organ.name != EMBEDDED_MIND and not urls.get(EMBEDDED):
        raise OrganConfigError(f"There is no embedded mind {organ.name!r}. The embedded mind is {EMBEDDED_MIND!r}.")
    from worker.organs.embedded_mind import EmbeddedMind

    return EmbeddedMind(call_host, urls.get(EMBEDDED, ""))
