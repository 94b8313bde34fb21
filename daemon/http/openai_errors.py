"""The error answers of the chat completions door: OpenAI's, which every client of that API reads.

https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.responses import Response
from starlette.types import Scope

from daemon.http.answers import NO_STORE

COMPLETIONS: Final = "/v1/chat/completions"
MODELS: Final = "/v1/models"
_OPENAI: Final = (
    *("/v1/chat", MODELS, "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/moderations"),
    *("/v1/audio", "/v1/images", "/v1/files", "/v1/assistants", "/v1/threads", "/v1/batches"),
)
"""Paths of OpenAI's API, also those that are not served here: a client of it gets an error that it can read."""

RETRY: Final = "x-should-retry"
"""The header that OpenAI's libraries follow instead of their own rule for a status."""

_CODES: Final = {401: "invalid_api_key", 403: "insufficient_permissions", 413: "request_too_large"}


class ApiError(msgspec.Struct):
    """What is wrong. ``param`` names the field of the request, ``code`` is for programs."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorAnswer(msgspec.Struct):
    """The body of an error."""

    error: ApiError


def is_openai(scope: Scope) -> bool:
    """Whether a request is for a path of OpenAI's API."""
    path: str = scope["path"]
    return scope["type"] == "http" and any(path == one or path.startswith(f"{one}/") for one in _OPENAI)


def kind_of(status: int) -> str:
    """Return the ``type`` that OpenAI gives to errors with this status."""
    if status == 429:
        return "requests"
    return "server_error" if status >= 500 else "invalid_request_error"


def error(
    status: int,
    message: str,
    headers: Mapping[str, str] | None = None,
    *,
    param: str | None = None,
    code: str | None = None,
) -> Response:
    """Answer with an error in OpenAI's form."""
    body = ErrorAnswer(ApiError(message, kind_of(status), param, code or _CODES.get(status)))
    return Response(msgspec.json.encode(body), status, {**NO_STORE, **(headers or {})}, "application/json")


def plain_error(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with an error of the layers before the routes."""
    return error(status, detail, headers)
