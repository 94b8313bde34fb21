"""The body of a request for a chat completion: which fields are followed, which have no effect, which are refused.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from typing import Final

import msgspec

from daemon.api.openai.refusals import Refused, invalid_type, missing, unsupported, unsupported_value
from daemon.api.openai.talk import Talk, read_talk

FOLLOWED: Final = ("model", "messages", "stream", "stream_options", "store")

NUMBERS: Final = {"temperature": (0, 2), "top_p": (0, 1), "frequency_penalty": (-2, 2), "presence_penalty": (-2, 2)}
"""How a model chooses its words. Her mind has its own ways, so these are checked and have no effect."""

COUNTS: Final = {"max_tokens": 1, "max_completion_tokens": 1, "n": 1, "top_logprobs": 0}
"""Whole numbers with their least value. What she says is never cut, so the length has no effect."""

WITHOUT_EFFECT: Final = (
    *("user", "metadata", "seed", "tools", "functions", "parallel_tool_calls", "service_tier", "reasoning_effort"),
    *("verbosity", "prediction", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
    *("safety_identifier", "moderation"),
)
"""A program's tools are not hers: she has her own and answers in words, as a model may that is offered tools.
``user`` is a name for the program's own account of it."""

REFUSED: Final = ("stop", "logprobs", "logit_bias", "audio", "web_search_options")
"""A program that asks for one of these counts on it."""

JUDGED: Final = ("response_format", "modalities", "tool_choice", "function_call")

KNOWN: Final = frozenset((*FOLLOWED, *NUMBERS, *COUNTS, *WITHOUT_EFFECT, *REFUSED, *JUDGED))

_BAD_JSON: Final = (
    "We could not parse the JSON body of your request. The API expects a JSON payload, but what was sent was not valid"
    " JSON."
)


class Completion(msgspec.Struct, frozen=True):
    """What a request asks for. ``store`` False: nothing of it is to stay anywhere."""

    model: str
    talk: Talk
    stream: bool
    include_usage: bool
    store: bool


def read_completion(raw: bytes, at: int, message_chars: int) -> Completion:
    """Read a body. Raises Refused."""
    fields = _object(raw)
    for name in fields:
        if name not in KNOWN:
            shown = "".join(one if one.isprintable() else "?" for one in name[:80])
            raise Refused(400, f"Unrecognized request argument supplied: {shown}")
    model = fields.get("model")
    if model is None:
        raise Refused(400, "you must provide a model parameter", param="model")
    if not isinstance(model, str):
        raise invalid_type("model", "a string", model)
    if "messages" not in fields:
        raise missing("messages")
    _require_possible(fields)
    stream = _flag(fields, "stream") or False
    talk = read_talk(fields["messages"], at, message_chars)
    store = _flag(fields, "store") is not False and not is_errand(talk)
    return Completion(model, talk, stream, _include_usage(fields, stream=stream), store)


def is_errand(talk: Talk) -> bool:
    """Whether a program asks this for itself, about a conversation of its own that the text quotes.

    Open WebUI has titles, tags and further questions made in this form by the model of the chat. Nobody said any of it
    to her. https://github.com/open-webui/open-webui/blob/main/backend/open_webui/config.py
    """
    text = talk.new[0].text
    quotes = "<chat_history>" in text or "<text>" in text
    return len(talk.new) == 1 and not talk.history and text.startswith("### Task:") and quotes


def _object(raw: bytes) -> dict[str, object]:
    try:
        fields = msgspec.json.decode(raw)
    except (ValueError, RecursionError) as found:
        raise Refused(400, _BAD_JSON) from found
    if not isinstance(fields, dict):
        raise Refused(400, _BAD_JSON)
    return fields


def _flag(fields: dict[str, object], name: str) -> bool | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise invalid_type(name, "a boolean", value)
    return value


def _include_usage(fields: dict[str, object], *, stream: bool) -> bool:
    options = fields.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise invalid_type("stream_options", "an object", options)
    if not stream:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Refused(400, message, param="stream_options")
    include = options.get("include_usage")
    if include is not None and not isinstance(include, bool):
        raise invalid_type("stream_options.include_usage", "a boolean", include)
    return bool(include)


def _require_possible(fields: dict[str, object]) -> None:
    """Refuse what no persona can do, and what OpenAI refuses as well."""
    for name, (least, most) in NUMBERS.items():
        _require_number(name, fields.get(name), least, most)
    for name, least in COUNTS.items():
        value = fields.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise invalid_type(name, "an integer", value)
        if value is not None and value < least:
            raise _out_of_range(name, "integer", "below minimum", f">= {least}", value)
    n, top = fields.get("n"), fields.get("top_logprobs")
    if n not in (None, 1):
        raise unsupported_value("n", n, "the default (1) value")
    if top is not None:
        raise unsupported("top_logprobs")
    for name in REFUSED:
        if fields.get(name) not in (None, False, [], {}, ""):
            raise unsupported(name)
    _require_words(fields)


def _require_words(fields: dict[str, object]) -> None:
    """She answers in plain words."""
    wanted = fields.get("response_format")
    if wanted is not None and not isinstance(wanted, dict):
        raise invalid_type("response_format", "an object", wanted)
    if isinstance(wanted, dict) and wanted.get("type") != "text":
        shown = wanted.get("type") if wanted.get("type") in ("json_object", "json_schema") else "such"
        message = f"Invalid parameter: 'response_format' of type '{shown}' is not supported with this model."
        raise Refused(400, message, param="response_format", code="unsupported_value")
    if fields.get("modalities") not in (None, ["text"]):
        raise unsupported_value("modalities", "these", "['text']")
    for name in ("tool_choice", "function_call"):
        if fields.get(name) not in (None, "auto", "none"):
            raise unsupported_value(name, "a call that must be made", "'auto' or 'none'")


def _require_number(name: str, value: object, least: int, most: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid_type(name, "a decimal", value)
    if value < least:
        raise _out_of_range(name, "decimal", "below minimum", f">= {least}", value)
    if value > most:
        raise _out_of_range(name, "decimal", "above maximum", f"<= {most}", value)


def _out_of_range(name: str, kind: str, where: str, expected: str, value: float) -> Refused:
    code = f"{kind}_{'below_min' if where.startswith('below') else 'above_max'}_value"
    message = f"Invalid '{name}': {kind} {where} value. Expected a value {expected}, but got {value} instead."
    return Refused(400, message, param=name, code=code)
