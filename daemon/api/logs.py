"""``GET /api/logs``: the daemon's last events, and what happens from now on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from daemon.log_tail import Following, Tail, TooManyFollowers

MEDIA_TYPE = "application/x-ndjson"
HEADERS = {"Cache-Control": "no-store"}
DEFAULT_LINES = 100
MAX_LINES = 100_000


class BadQuery(ValueError):  # noqa: N818 - the name says whose fault it is
    """A query parameter that cannot be taken: its name and what it must be."""

    def __init__(self, name: str, kind: str, wanted: str) -> None:
        super().__init__(wanted)
        self.detail = [{"type": kind, "loc": ["query", name], "msg": wanted}]


async def logs(request: Request) -> Response:
    """Answer events as JSON, one a line, oldest first.

    ``?persona=ID`` takes one persona's, ``lines=N`` the last N (100), ``follow=true`` stays until the client leaves or
    the daemon stops. 422 for a parameter that cannot be taken, 429 when too many follow already.
    """
    tail: Tail = request.app.state.daemon.tail
    stopping: asyncio.Event = request.app.state.daemon.stopping
    persona = request.query_params.get("persona") or None
    try:
        lines = _lines(request.query_params.get("lines", str(DEFAULT_LINES)))
        follow = _flag("follow", request.query_params.get("follow", "false"))
    except BadQuery as error:
        return JSONResponse({"detail": error.detail}, status_code=422)
    if not follow:
        return Response(b"".join(tail.last(lines, persona)), media_type=MEDIA_TYPE, headers=HEADERS)
    try:
        following = tail.subscribe(lines, persona)
    except TooManyFollowers as error:
        return JSONResponse({"detail": str(error)}, status_code=429, headers={"Retry-After": "10"})
    return StreamingResponse(_stream(following, stopping), media_type=MEDIA_TYPE, headers=HEADERS)


async def _stream(following: Following, stopping: asyncio.Event) -> AsyncIterator[bytes]:
    closer = asyncio.create_task(_close_at(stopping, following))
    try:
        with following:
            reported = 0
            while arrived := await following.read():
                if following.dropped > reported:
                    lost = {"level": "warning", "event": "log.dropped", "lines": following.dropped - reported}
                    reported = following.dropped
                    yield msgspec.json.encode(lost) + b"\n"
                yield b"".join(arrived)
    finally:
        closer.cancel()


async def _close_at(stopping: asyncio.Event, following: Following) -> None:
    await stopping.wait()
    following.close()


def _lines(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and int(text) <= MAX_LINES):
        raise BadQuery("lines", "int_parsing", f"lines must be a whole number from 0 to {MAX_LINES}")
    return int(text)


def _flag(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise BadQuery(name, "bool_parsing", f"{name} must be true or false")
    return text.lower() in ("true", "1")
