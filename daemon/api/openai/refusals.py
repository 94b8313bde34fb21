"""Refusals of the chat completions door, in the words that OpenAI's own API uses for the same.

https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from daemon.conversations.inbox import InboxFull
from daemon.conversations.requests import Failed, Trouble
from daemon.http.answers import sentence
from daemon.http.openai_errors import RETRY, ApiError, error, kind_of
from daemon.ledger import LedgerBusy, LedgerDamaged, LedgerEnded, LedgerFull
from daemon.logging.log import Log

AGAIN: Final = {"retry-after": "5"}
_LATER: Final = {"retry-after": "30"}
_NOT_BY_ITSELF: Final = {RETRY: "false"}
"""A message that was set aside is taken up by the same request: by somebody's will, and not by a library's."""

_FAILURES: Final[dict[Trouble, tuple[int, str, Mapping[str, str]]]] = {
    "declined": (400, "content_filter", _NOT_BY_ITSELF),
    "too_long": (400, "context_length_exceeded", _NOT_BY_ITSELF),
    "empty": (502, "no_answer", _NOT_BY_ITSELF),
    "faulty": (502, "no_answer", _NOT_BY_ITSELF),
    "broken": (502, "no_answer", _NOT_BY_ITSELF),
    "died": (502, "set_aside", _NOT_BY_ITSELF),
    "mind_down": (503, "mind_unreachable", _LATER),
    "unaffordable": (429, "insufficient_quota", _NOT_BY_ITSELF),
    "stopped": (503, "persona_stopped", _LATER),
    "ended": (503, "interrupted", AGAIN),
}


class Refused(Exception):
    """A request that is answered with this error."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def answer(self) -> Response:
        """Return the response."""
        return error(self.status, str(self), self.headers, param=self.param, code=self.code)

    def shown(self) -> ApiError:
        """Return what a stream that has begun says of it."""
        return ApiError(str(self), kind_of(self.status), self.param, self.code)


def failure(failed: Failed) -> Refused:
    """Refuse a request that she has no answer to now."""
    status, code, headers = _FAILURES[failed.trouble]
    return Refused(status, failed.detail, code=code, headers=headers)


def invalid_type(param: str, expected: str, value: object) -> Refused:
    """Refuse a field of another type."""
    message = f"Invalid type for '{param}': expected {expected}, but got {_named(value)} instead."
    return Refused(400, message, param=param, code="invalid_type")


def missing(param: str) -> Refused:
    """Refuse a request without a field that it needs."""
    return Refused(400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def invalid_value(param: str, value: str, supported: str) -> Refused:
    """Refuse a word that is none of those that a field takes."""
    shown = "".join(one if one.isprintable() else "?" for one in value[:80])
    message = f"Invalid value: '{shown}'. Supported values are: {supported}."
    return Refused(400, message, param=param, code="invalid_value")


def unsupported(param: str) -> Refused:
    """Refuse a field that no persona can follow."""
    message = f"Unsupported parameter: '{param}' is not supported with this model."
    return Refused(400, message, param=param, code="unsupported_parameter")


def unsupported_value(param: str, value: object, only: str) -> Refused:
    """Refuse a value that no persona can follow."""
    message = f"Unsupported value: '{param}' does not support {value} with this model. Only {only} is supported."
    return Refused(400, message, param=param, code="unsupported_value")


def too_long(param: str, most: int, length: int) -> Refused:
    """Refuse a text over its limit."""
    message = (
        f"Invalid '{param}': string too long. Expected a string with maximum length {most}, but got a string with"
        f" length {length} instead."
    )
    return Refused(400, message, param=param, code="string_above_max_length")


def _named(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


async def _refused(_request: Request, found: Exception) -> Response:
    assert isinstance(found, Refused)
    return found.answer()


async def _http_error(request: Request, found: Exception) -> Response:
    assert isinstance(found, HTTPException)
    asked = f"{request.method} {request.url.path}"
    if found.status_code == 404:
        return error(
            404, f"Unknown request URL: {asked}. /openapi.json lists those that there are.", code="unknown_url"
        )
    if found.status_code == 405:
        message = f"Not allowed to {request.method} on {request.url.path}."
        return error(405, message, found.headers, code="method_not_supported")
    return error(found.status_code, str(found.detail), found.headers)


async def _inbox_full(_request: Request, found: Exception) -> Response:
    message = sentence(f"Nothing was kept: {found}")
    return error(429, message, AGAIN, code="rate_limit_exceeded")


async def _ledger_full(_request: Request, found: Exception) -> Response:
    return error(507, sentence(f"Nothing was kept: {found}"), _NOT_BY_ITSELF, code="disk_full")


async def _ledger_busy(_request: Request, _found: Exception) -> Response:
    return error(503, "The ledger is busy and nothing was kept: send it again in a moment.", {"retry-after": "1"})


async def _ledger_unusable(_request: Request, found: Exception) -> Response:
    return error(503, sentence(f"Nothing was read or kept: {found}"), {"retry-after": "60"})


async def _client_gone(_request: Request, _found: Exception) -> Response:
    """The client does not read this answer, but without it a hang-up would be logged as a fault of the daemon."""
    return error(400, "The request ended before its body did.")


def handlers(log: Log) -> dict[type[Exception], ExceptionHandler]:
    """Handlers by exception. The server logs a bug with its trace; the answer only names the line in ``log``."""

    async def unexpected(_request: Request, found: Exception) -> Response:
        instance = uuid.uuid4().urn
        log.error("request.fault", instance=instance, error=type(found).__name__)
        return error(500, f"An internal error, which is a bug: the daemon's log has the details, under {instance}.")

    return {
        Refused: _refused,
        HTTPException: _http_error,
        InboxFull: _inbox_full,
        LedgerFull: _ledger_full,
        LedgerBusy: _ledger_busy,
        LedgerDamaged: _ledger_unusable,
        LedgerEnded: _ledger_unusable,
        ClientDisconnect: _client_gone,
        Exception: unexpected,
    }
