"""The mind: what a persona thinks with, chosen by her organ's provider."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from proto.messages import ChatTurn, Line, Memory, MindLimits
from proto.records import EMBEDDED, EMBEDDED_MIND, Organ
from worker.memory import CONSOLIDATION_TOKENS, chunks, consolidation_turns, parse_consolidation
from worker.prompt import REPLY_TOKENS, Prompt

HostCall: TypeAlias = Callable[[list[ChatTurn], int], Awaitable[str]]
"""Asks the organ host: turns and the most tokens to answer with. Raises MindUnreachable."""

LOCAL: Final = "local"
"""How settings name the local inference engine, whose provider is null in a record."""

PROVIDERS: Final = ("openai", "anthropic", "xai", "gemini")

_OPENAI_MODULES: Final = (
    "worker.organs.openai_mind",
    "openai.resources.chat.completions",
    "openai.lib._client_auth",
    "anyio._backends._asyncio",
    "httpcore2._async.connection",
    "httpcore2._async.http11",
    "httpcore2._backends.anyio",
)
_ANTHROPIC_MODULES: Final = (
    "worker.organs.anthropic_mind",
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
"""Modules that a mind of this provider needs, for a zygote to import before it forks her."""

_VERSIONED: Final = re.compile(r"/v\d+(?:(?:alpha|beta)\d*)?(?:/|\Z)")


class MindUnreachable(Exception):
    """The mind gave no answer: ``reason`` says why and ``hint`` what a person can do about it.

    ``permanent`` means that the same call will fail until somebody changes something; ``retry_after`` is the
    provider's own word in seconds; ``again`` that an immediate retry is sensible.
    """

    def __init__(
        self,
        reason: str,
        hint: str,
        *,
        permanent: bool = False,
        retry_after: float | None = None,
        again: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.permanent = permanent
        self.retry_after = retry_after
        self.again = again


class MindConfigError(Exception):
    """The organ's record names no mind there is; its text says what to change."""


class Mind(ABC):
    """One mind. Every call raises MindUnreachable when there is no answer."""

    @abstractmethod
    async def think(self, turns: list[ChatTurn], max_tokens: int) -> str:
        """Return the answer to ``turns``: never empty, without the model's own reasoning."""

    @abstractmethod
    async def check(self) -> None:
        """Make the smallest exchange that proves the mind to be there."""

    async def answer(self, prompt: Prompt) -> str:
        """Return her reply to the new words of a beat."""
        return await self.think(prompt.turns(), REPLY_TOKENS)

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


def mind_for(organ: Organ, limits: MindLimits, urls: Mapping[str, str], call_host: HostCall) -> Mind:
    """Make the mind that ``organ`` names; ``urls`` holds the operator's base URL by provider.

    Raise MindConfigError for a provider that does not exist, a missing model name or a url that is none. The SDK of
    a provider is imported here and not before: an idle persona of another mind does not pay for it.
    """
    if not organ.name.strip():
        raise MindConfigError("No model available. Please provide a model name.")
    if organ.provider == EMBEDDED:
        return _embedded(organ, urls, call_host)
    if organ.provider not in (None, LOCAL, *PROVIDERS):
        raise MindConfigError(
            f"There is no provider {organ.provider!r}. Use one of {', '.join(PROVIDERS)} or {EMBEDDED}, leave it out "
            "for the local inference engine, or use openai with a url for any OpenAI-compatible server."
        )
    base = organ.url or urls.get(organ.provider or LOCAL, "")
    if organ.provider == "anthropic":
        from worker.organs.anthropic_mind import AnthropicMind

        return AnthropicMind(organ, limits, bare_url(base))
    from worker.organs.openai_mind import OpenAIMind

    return OpenAIMind(organ, limits, versioned_url(base))


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
        raise MindConfigError(f"The url of the thinking organ must be http:// or https:// with a host, not {url!r}.")
    return url.strip().rstrip("/")


def _embedded(organ: Organ, urls: Mapping[str, str], call_host: HostCall) -> Mind:
    if organ.name != EMBEDDED_MIND and not urls.get(EMBEDDED):
        raise MindConfigError(f"There is no embedded mind {organ.name!r}. The embedded mind is {EMBEDDED_MIND!r}.")
    from worker.organs.embedded_mind import EmbeddedMind

    return EmbeddedMind(call_host, urls.get(EMBEDDED, ""))
