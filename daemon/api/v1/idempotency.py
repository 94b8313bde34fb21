"""``Idempotency-Key``: a request repeated with its key is carried out once, even if the daemon dies meanwhile.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from daemon.api.v1.conditions import etag
from daemon.api.v1.objects import ChannelObject
from daemon.api.v1.problems import refused_parameter
from daemon.http.answers import NO_STORE
from daemon.http.problems import problem
from daemon.ledger import Ledger, LedgerError
from daemon.logging.log import Log
from daemon.runtime.clock import Clock

HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(r"[!-~]{1,255}")

_OTHER: Final = "This key was used with a different request: use a new key for each new request."
_RUNNING: Final = "The first request with this key is still in progress: try again in a moment."


class Keys:
    """Handles keys. A key that is recorded as begun but not in hand here was left by an earlier daemon."""

    def __init__(self, *, ledger: Ledger, clock: Clock, log: Log) -> None:
        self._ledger = ledger
        self._clock = clock
        self._log = log
        self._in_hand: set[str] = set()

    async def once(
        self, request: Request, asked: msgspec.Struct, carry_out: Callable[[int | None], Awaitable[msgspec.Raw]]
    ) -> Response:
        """Answer 201 with the result of ``carry_out``, or with the stored result of the first request with this key.

        ``asked`` is the request that the key belongs to. ``carry_out`` gets None or, if a daemon died during this
        request, the time in epoch nanoseconds when it began: what was made since then belongs to this request. If
        ``carry_out`` raises, the key may be used again. Raises Refused.
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
        """Write, but only log a failure: the request is done, and a repeated one is handled as after a crash."""
        try:
            await write
        except LedgerError as error:
            self._log.error("request.key_not_kept", reason=str(error))


def _fingerprint(request: Request, asked: msgspec.Struct) -> str:
    """A hash of the request that does not depend on how its JSON is written."""
    place = f"{request.method} {request.url.path}\n".encode()
    return hashlib.sha256(place + msgspec.json.encode(asked)).hexdigest()


def _created(body: msgspec.Raw, headers: dict[str, str] | None = None) -> Response:
    made = msgspec.json.decode(body, type=ChannelObject)
    of_it = {"location": f"/v1/channels/{made.id}", "etag": etag(made)}
    return Response(bytes(body), 201, {**NO_STORE, **of_it, **(headers or {})}, "application/json")
