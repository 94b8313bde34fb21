"""``Idempotency-Key``: a request repeated under its key is carried out once, also when the daemon dies in it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from daemon.api.v1.problems import refused_parameter
from daemon.http.answers import NO_STORE
from daemon.http.problems import problem
from daemon.ledger import Ledger, LedgerError
from daemon.logging.log import Log
from daemon.runtime.clock import Clock

HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(r"[!-~]{1,255}")

_OTHER: Final = "This key came with another request before: take a new key for each thing that you want done."
_RUNNING: Final = "The first request with this key is being carried out: ask again in a moment."


class Keys:
    """The keys whose requests this daemon is carrying out. One that it finds begun, and not here, is an earlier's."""

    def __init__(self, *, ledger: Ledger, clock: Clock, log: Log) -> None:
        self._ledger = ledger
        self._clock = clock
        self._log = log
        self._in_hand: set[str] = set()

    async def once(
        self, request: Request, asked: msgspec.Struct, carry_out: Callable[[int | None], Awaitable[msgspec.Raw]]
    ) -> Response:
        """Answer with what ``carry_out`` makes, or made when the request came first; the status is 201.

        ``asked`` is what the key belongs to. ``carry_out`` is given None, or, when a daemon died over this request, the
        time of that in epoch nanoseconds: what was made since then is this request's. When it raises, the key may be
        used again. Raises Refused.
        """
        keys = request.headers.getlist(HEADER)
        if not keys:
            return _created(await carry_out(None))
        if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
            raise refused_parameter(HEADER, f"{HEADER} must be one text of 1 to 255 printable characters.")
        key = keys[0]
        if key in self._in_hand:
            return problem(409, _RUNNING, {"retry-after": "1"})
        self._in_hand.add(key)
        try:
            return await self._first_or_again(key, _fingerprint(request, asked), carry_out)
        finally:
            self._in_hand.discard(key)

    async def _first_or_again(
        self, key: str, fingerprint: str, carry_out: Callable[[int | None], Awaitable[msgspec.Raw]]
    ) -> Response:
        known = await self._ledger.idempotency_begin(key, fingerprint, self._clock.time_ns())
        if known.state == "other":
            raise refused_parameter(HEADER, _OTHER)
        if known.state == "done":
            return _created(msgspec.Raw(known.body), {"idempotency-replayed": "true"})
        done = False
        try:
            body = await carry_out(known.at if known.state == "begun" else None)
            done = True
        finally:
            if not done:
                await self._kept(self._ledger.idempotency_drop(key))
        await self._kept(self._ledger.idempotency_done(key, 201, bytes(body)))
        return _created(body)

    async def _kept(self, write: Awaitable[None]) -> None:
        """A full disk does not take the answer of what is done already; who asks again gets it as after a death."""
        try:
            await write
        except LedgerError as error:
            self._log.error("request.key_not_kept", reason=str(error))


def _fingerprint(request: Request, asked: msgspec.Struct) -> str:
    """A hash of what is asked for, however its JSON is spelled."""
    place = f"{request.method} {request.url.path}\n".encode()
    return hashlib.sha256(place + msgspec.json.encode(asked)).hexdigest()


def _created(body: msgspec.Raw, headers: dict[str, str] | None = None) -> Response:
    made: str = msgspec.json.decode(body)["id"]
    location = {"location": f"/v1/channels/{made}"}
    return Response(bytes(body), 201, {**NO_STORE, **location, **(headers or {})}, "application/json")
