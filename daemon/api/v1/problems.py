"""Turns exceptions under ``/v1`` into problem documents with a detail that says what to do.

https://www.rfc-editor.org/rfc/rfc9457
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ExceptionHandler

from daemon.api.errors import Unprocessable
from daemon.channels.errors import ChannelRefused
from daemon.http.answers import sentence
from daemon.http.problems import FieldError, problem
from daemon.ledger import LedgerBusy, LedgerDamaged, LedgerEnded, LedgerFull
from daemon.logging.log import Log

_UNPROCESSABLE: Final = "The request cannot be taken; errors lists each faulty field and what it must be."


class Refused(Exception):
    """A request that is answered with this problem."""

    def __init__(self, status: int, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.errors = list(errors)


def refused_field(field: str, message: str, status: int = 422) -> Refused:
    """Refuse a request for one field of its body."""
    return Refused(status, message, [FieldError(message, pointer=f"/{field}")])


def refused_parameter(name: str, message: str) -> Refused:
    """Refuse a request for one parameter of its query or headers."""
    return Refused(422, message, [FieldError(message, parameter=name)])


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return problem(error.status, str(error), errors=error.errors)


async def _channel_refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ChannelRefused)
    return problem(error.status, sentence(error))


async def _http_error(request: Request, error: Exception) -> Response:
    """Replace Starlette's one-word details with sentences."""
    assert isinstance(error, HTTPException)
    detail, headers = error.detail, error.headers
    if error.status_code == 404:
        detail = "There is no such resource; /openapi.json lists those that there are."
    elif error.status_code == 405:
        detail = f"{request.method} is not for this resource; the header Allow says what is."
        headers = {"allow": ", ".join(_methods(request))}
    return problem(error.status_code, detail, headers)


def _methods(request: Request) -> list[str]:
    """All methods of the resource, where a route of Starlette knows only its own.

    The first route that takes the path says which resource it is: ``/v1/channels/options`` is no channel.
    """
    routes = [
        one for one in request.app.routes if isinstance(one, Route) and one.matches(request.scope)[0] is not Match.NONE
    ]
    return sorted({method for one in routes if one.path == routes[0].path for method in one.methods or ()})


async def _unprocessable(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Unprocessable)
    faults = [
        FieldError(fault.msg, pointer="".join(f"/{part}" for part in fault.loc[1:] if fault.type != "json_invalid"))
        for fault in error.faults
    ]
    return problem(422, _UNPROCESSABLE, errors=faults)


async def _ledger_full(_request: Request, error: Exception) -> Response:
    return problem(507, sentence(f"Nothing was kept: {error}"))


async def _ledger_busy(_request: Request, _error: Exception) -> Response:
    return problem(503, "The ledger is busy and nothing was kept; send it again in a moment.", {"retry-after": "1"})


async def _ledger_unusable(_request: Request, error: Exception) -> Response:
    return problem(503, sentence(f"Nothing was read or kept: {error}"), {"retry-after": "60"})


async def _client_gone(_request: Request, _error: Exception) -> Response:
    """The client does not read this answer, but without it a hang-up would be logged as a fault of the daemon."""
    return problem(400, "The request ended before its body did.")


def handlers(log: Log) -> dict[type[Exception], ExceptionHandler]:
    """Handlers by exception. The server logs a bug with its trace; the answer only names the line in ``log``."""

    async def unexpected(_request: Request, error: Exception) -> Response:
        instance = uuid.uuid4().urn
        log.error("request.fault", instance=instance, error=type(error).__name__)
        detail = "An internal error, which is a bug: the daemon's log has the details, under this instance."
        return problem(500, detail, instance=instance)

    return {
        Refused: _refused,
        ChannelRefused: _channel_refused,
        HTTPException: _http_error,
        Unprocessable: _unprocessable,
        LedgerFull: _ledger_full,
        LedgerBusy: _ledger_busy,
        LedgerDamaged: _ledger_unusable,
        LedgerEnded: _ledger_unusable,
        ClientDisconnect: _client_gone,
        Exception: unexpected,
    }
