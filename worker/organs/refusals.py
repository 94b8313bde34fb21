"""Tells a refusal of one prompt from an outage, in the words of every provider.

Where the words are known, their source stands beside them. Anything else is left in doubt: the mind is then asked
something harmless, and if it answers that, the refusal was the prompt's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_DOUBTFUL: Final = frozenset((200, 400, 413, 422, 500))
"""Statuses that a server also gives for a prompt that it cannot take: templates and tool parsers fail with 500."""

_MALFORMED: Final = re.compile(
    r"failed to call a function|tool call validation failed"  # Groq
    r"|parsing tool call|malformed function call",  # Ollama, Gemini
    re.IGNORECASE,
)

_BUSY: Final = re.compile(r"overloaded|rate_limit|unavailable|timeout", re.IGNORECASE)
"""Codes that say nothing about the prompt."""

_PROMPT: Final = frozenset((200, 400, 403, 413, 422, 429, 500))
"""Statuses with which a refusal of the prompt may come; 200 stands for an error inside a stream."""

_TOO_LONG_CODES: Final = frozenset(
    ("context_length_exceeded", "string_above_max_length", "exceed_context_size_error", "request_too_large")
)
_TOO_LONG: Final = re.compile(
    r"maximum context length"  # OpenAI, vLLM, Mistral, DeepSeek, Ollama
    r"|context (?:length|window|size|limit)s?\b.{0,80}\b(?:exceed|overflow|only)"
    r"|exceeds?\b.{0,60}\bcontext (?:length|window|size|limit)"  # llama.cpp, Anthropic's max_tokens
    r"|prompt is too long|input is too long|input length and `max_tokens` exceed"  # Anthropic
    r"|maximum prompt length"  # xAI
    r"|input token count\b.{0,60}\bexceeds"  # Gemini
    r"|request too large"  # Groq's and OpenAI's tokens a minute
    r"|context the overflows"  # LM Studio
    r"|too many tokens|reduce the length of the (?:messages|prompt|input)"
    r"|`inputs` (?:tokens|must have)",  # TGI
    re.IGNORECASE | re.DOTALL,
)
_DECLINED_CODES: Final = frozenset(
    ("content_filter", "content_policy_violation", "responsibleaipolicyviolation", "data_inspection_failed", "safety")
)
_DECLINED: Final = re.compile(
    r"content (?:filter|management|policy)|responsible ai|violat\w{0,10} (?:our|the|its) \w{0,20} ?polic"
    r"|usage guidelines|requires moderation|input was flagged|data may contain inappropriate"
    r"|safety (?:system|reasons|check)",
    re.IGNORECASE,
)
_CONTEXT: Final = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        r"maximum (?:context|prompt) length (?:is|of) (?:only )?(\d+)",
        r"(\d+) maximum context length",
        r"tokens > (\d+)",
        r"maximum number of tokens allowed \(?(\d+)",
        r"context (?:size|length|window|limit)(?: of| is)?(?: only)? \(?(\d+)",
        r"\d+ \+ \d+ > (\d+)",
        r"must be <= (\d+)",
        r"limit:? (\d+)",
    )
)
_ASKED: Final = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        r"(\d+) in (?:the|your) (?:messages|prompt)",
        r"your (?:request|prompt|messages) (?:has|resulted in|contains)(?: at least)? (\d+)",
        r"prompt is too long: (\d+)",
        r"(?:prompt|request) contains (?:at least )?(\d+)",
        r"token count \(?(\d+)",
        r"request \((\d+) tokens",
        r"keep the first (\d+) tokens",
        r"given: (\d+) `inputs`",
        r"(\d+) \+ \d+ > \d+",
        r"requested:? (?:about )?(\d+)",
    )
)
_MOST_READ: Final = 2_000
"""Characters of a server's message that are looked at."""


@dataclass(frozen=True)
class Sizes:
    """The model's context and the prompt's length as a refusal tells them, in tokens; 0: not told."""

    context: int = 0
    asked: int = 0


def too_long(status: int, code: str, message: str) -> Sizes | None:
    """Return the sizes that a refusal tells if it says that the prompt is too long, else None."""
    said = message[:_MOST_READ]
    if status not in _PROMPT or (status == 429 and "too large" not in said.lower()):
        return None
    if status != 413 and code.lower() not in _TOO_LONG_CODES and not _TOO_LONG.search(said):
        return None
    plain = re.sub(r"(?<=\d),(?=\d{3}\b)", "", said)
    return Sizes(_number(_CONTEXT, plain), _number(_ASKED, plain))


def declined(status: int, code: str, message: str) -> bool:
    """Return whether a content filter refused the prompt."""
    if status not in _PROMPT - {429, 500}:
        return False
    return code.lower() in _DECLINED_CODES or bool(_DECLINED.search(message[:_MOST_READ]))


def malformed_call(reason: str) -> bool:
    """Return whether the model's call of a tool could not be read: the server takes tools, and this answer failed."""
    return bool(_MALFORMED.search(reason))


def doubtful(status: int, code: str) -> bool:
    """Return whether this error may belong to the prompt although it does not say so."""
    return status in _DOUBTFUL and not _BUSY.search(code)


def _number(patterns: Sequence[re.Pattern[str]], said: str) -> int:
    for pattern in patterns:
        if (found := pattern.search(said)) and len(found[1]) < 10:
            return int(found[1])
    return 0
