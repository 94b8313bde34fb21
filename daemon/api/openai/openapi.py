"""The routes of OpenAI's API for the OpenAPI document."""

from __future__ import annotations

from typing import Final

from daemon.api.openai.answers import ChatCompletion
from daemon.api.openai.models import Model, ModelList
from daemon.api.openapi_parts import INTEGER, TEXT, Json, Operation, ref
from daemon.http.openai_errors import COMPLETIONS, MODELS, ApiError, ErrorAnswer

KINDS: Final = (ChatCompletion, Model, ModelList, ApiError, ErrorAnswer)
"""The schemas of the components."""

TAG: Final = "openai"

PARAMETERS: Final[dict[str, Json]] = {"model": {"type": "string", "description": "Her name or her id."}}

STATUS_WORDS: Final = {
    400: "A field cannot be taken, or her mind refuses the messages; param and code say which.",
    403: "The Origin is not this daemon's own, or the token may only read or is a visitor's.",
    404: "There is no such persona, or she is not running.",
    429: "Too much is being answered or waits already; Retry-After says when to come again.",
    502: "Her mind has no answer, or her process died each time: the message is set aside.",
    503: "Not now: her mind cannot be reached, she was stopped, or the daemon is stopping. What was kept is answered.",
    504: "No answer in time; the same request goes on waiting for it.",
}
"""The descriptions that differ from those of the persona API."""

_CONTENT: Final[Json] = {
    "anyOf": [TEXT, {"type": "array", "items": {"type": "object"}}, {"type": "null"}],
    "description": "A text, or parts: `text`; of the user also `image_url` with a data: URL, and `input_audio`.",
}
_MESSAGE: Final[Json] = {
    "type": "object",
    "properties": {
        "role": {"type": "string", "enum": ["system", "developer", "user", "assistant", "tool", "function"]},
        "content": _CONTENT,
    },
    "required": ["role"],
}
_BODY: Final[Json] = {
    "type": "object",
    "properties": {
        "model": {"type": "string", "description": "Her name or her id."},
        "messages": {
            "type": "array",
            "items": _MESSAGE,
            "description": "The conversation. The user's messages at its end are new to her.",
        },
        "stream": {"type": "boolean", "default": False, "description": "Answer with server-sent events."},
        "stream_options": {"type": "object", "properties": {"include_usage": {"type": "boolean"}}},
        "store": {"type": "boolean", "default": True, "description": "False: nothing of it is kept anywhere."},
        "max_tokens": {**INTEGER, "description": "Has no effect, as all fields that say how a model chooses words."},
        "temperature": {"type": "number", "description": "Has no effect."},
        "tools": {
            "type": "array",
            "items": {"type": "object"},
            "description": "Has no effect: she has tools of her own, and answers in words.",
        },
    },
    "required": ["model", "messages"],
}

OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("GET", MODELS): Operation(
        "listModels", TAG, "List the personas who run, as models.", ref("ModelList"), openai=True
    ),
    ("GET", f"{MODELS}/{{model}}"): Operation(
        "getModel", TAG, "A persona who runs, as a model.", ref("Model"), (404,), openai=True
    ),
    ("POST", COMPLETIONS): Operation(
        "createChatCompletion",
        TAG,
        "Talk with a persona as with a model; with `stream` the answer is text/event-stream.",
        ref("ChatCompletion"),
        (404, 413, 429, 500, 502, 504, 507),
        _BODY,
        openai=True,
    ),
}
