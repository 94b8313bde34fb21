"""What becomes of an exception: the answer of the persona API to each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from daemon.conversations.inbox import InboxFull
from daemon.http.answers import Fault, problem, sentence
from daemon.ledger import LedgerBusy, LedgerDamaged, LedgerEnded, LedgerFull


class Unprocessable(Exception):
    """A request whose fields are faulty: 422 with all of them."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(f"{len(faults)} faulty fields")
        self.faults = list(faults)


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, error.detail, error.headers)


async def _unprocessable(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Unprocessable)
    return problem(422, error.faults)


async def _inbox_full(_request: Request, _error: Exception) -> Response:
    return problem(429, "She has too many unanswered messages; wait until she has answered some.", {"retry-after": "5"})


async def _ledger_full(_request: Request, error: Exception) -> Response:
    return problem(507, sentence(f"Nothing was kept: {error}"))


async def _ledger_busy(_request: Request, _error: Exception) -> Response:
    return problem(503, "The ledger is busy and nothing was kept; send it again in a moment.", {"retry-after": "1"})


async def _ledger_unusable(_request: Request, error: Exception) -> Response:
    return problem(503, sentence(f"Nothing was read or kept: {error}"), {"retry-after": "60"})


async def _client_gone(_request: Request, _error: Exception) -> Response:
    """Nobody reads this answer; without it a client that hangs up would look like a fault of ours."""
    return problem(400, "The request ended before its body did.")


async def _unexpected(_request: Request, _error: Exception) -> Response:
    """A bug. The server logs the exception, redacted; the answer says nothing of it."""
    return problem(500, "An internal error, which is a bug: the daemon's log has the details.")


HANDLERS: Final[dict[type[Exception], ExceptionHandler]] = {
    HTTPException: _http_error,
    Unprocessable: _unprocessable,
    InboxFull: _inbox_full,
    LedgerFull: _ledger_full,
    LedgerBusy: _ledger_busy,
    LedgerDamaged: _ledger_unusable,
    LedgerEnded: _ledger_unusable,
    ClientDisconnect: _client_gone,
    Exception: _unexpected,
}
