"""``GET /api/logs``: the daemon's last events, and what happens from now on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from daemon.api.errors import Unprocessable
from daemon.api.flags import read_flag
from daemon.http.answers import NO_STORE, Fault, problem
from daemon.logging.tail import MAX_FOLLOWERS, Tail

MEDIA_TYPE = "application/x-ndjson"
DEFAULT_LINES = 100
MAX_LINES = 100_000


class LogRoutes:
    """The log; the daemon closes ``tail`` when it begins to leave."""

    def __init__(self, *, tail: Tail) -> None:
        self._tail = tail

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/logs", self.logs)]

    async def logs(self, request: Request) -> Response:
        """``GET /api/logs``: events as JSON, one a line, oldest first.

        ``?persona=ID`` takes one persona's, ``lines=N`` the last N (100), ``follow=true`` stays until the client leaves
        or the daemon stops. 422 for a parameter that cannot be taken, 429 when too many follow already.
        """
        tail = self._tail
        persona = request.query_params.get("persona") or None
        lines = _lines(request.query_params.get("lines", str(DEFAULT_LINES)))
        follow = read_flag(("query", "follow"), request.query_params.get("follow", "false"))
        if not follow:
            return Response(b"".join(tail.last(lines, persona)), media_type=MEDIA_TYPE, headers=NO_STORE)
        if not tail.has_room:
            detail = f"{MAX_FOLLOWERS} others follow the log already; try again when one has left."
            return problem(429, detail, {"retry-after": "10"})
        return StreamingResponse(_stream(tail, lines, persona), media_type=MEDIA_TYPE, headers=NO_STORE)


async def _stream(tail: Tail, lines: int, persona: str | None) -> AsyncIterator[bytes]:
    with tail.subscribe(lines, persona) as following:
        reported = 0
        while arrived := await following.read():
            if following.dropped > reported:
                lost = {"level": "warning", "event": "log.dropped", "lines": following.dropped - reported}
                reported = following.dropped
                yield msgspec.json.encode(lost) + b"\n"
            yield b"".join(arrived)


def _lines(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and int(text) <= MAX_LINES):
        raise Unprocessable(
            [Fault("int_parsing", ("query", "lines"), f"Input should be a whole number from 0 to {MAX_LINES}")]
        )
    return int(text)
