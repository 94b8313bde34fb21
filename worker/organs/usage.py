"""What providers report of a call, read from their answers, which nobody validated.

OpenAI and compatible: https://platform.openai.com/docs/api-reference/chat/object, and in streams
https://platform.openai.com/docs/api-reference/chat/create#chat_create-stream_options.
Anthropic: https://docs.anthropic.com/en/docs/build-with-claude/streaming and
https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching. Recordings and pictures of OpenAI:
https://platform.openai.com/docs/api-reference/audio and https://platform.openai.com/docs/api-reference/images.
"""

from __future__ import annotations

import math

from proto.costs import Used
from worker.organs.metering import MOST
from worker.organs.remote import at
from worker.prompting.exchange import Usage


def of_openai(document: object) -> Usage | None:
    """Read ``usage`` of a chat's event or document; None if it has none.

    xAI's and Gemini's ``completion_tokens`` leave out reasoning, which is billed as output and counts in the total.
    """
    found = at(document, "usage")
    if not isinstance(found, dict):
        found = at(document, "x_groq", "usage")
    asked, said, total = (_count(at(found, f"{name}_tokens")) for name in ("prompt", "completion", "total"))
    if asked is None and said is None:
        return None
    if asked is not None and total is not None:
        said = max(said or 0, total - asked)
    cached = _count(at(found, "prompt_tokens_details", "cached_tokens"))
    if cached is None:
        cached = _count(at(found, "prompt_cache_hit_tokens"))  # DeepSeek
    return Usage(asked, said, cached)


def of_anthropic(event: object) -> Usage | None:
    """Read what ``message_start``, ``message_delta`` or a whole message tells; None if it tells nothing.

    Its ``input_tokens`` are without those that were read from a cache or written to one. ``message_start`` comes
    before the answer, so its ``output_tokens`` are not those of the answer.
    """
    found = at(event, "message", "usage") or at(event, "usage")
    plain, said = _count(at(found, "input_tokens")), _count(at(found, "output_tokens"))
    if plain is None and said is None:
        return None
    cached = _count(at(found, "cache_read_input_tokens"))
    written = _count(at(found, "cache_creation_input_tokens")) or 0
    said = None if at(event, "type") == "message_start" else said
    return Usage(None if plain is None else plain + (cached or 0) + written, said, cached)


def of_organ(result: object) -> Used | None:
    """Read the usage of a transcription or a picture: tokens, or seconds. None if it tells nothing."""
    seconds = at(result, "usage", "seconds")
    if isinstance(seconds, int | float) and math.isfinite(seconds) and 0 <= seconds <= MOST:
        return Used(unit="seconds", units=math.ceil(seconds))
    asked, said = _count(at(result, "usage", "input_tokens")), _count(at(result, "usage", "output_tokens"))
    if asked is None and said is None:
        return None
    return Used(asked or 0, said or 0)


def _count(value: object) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST
    return int(value) if is_count and isinstance(value, int) else None
