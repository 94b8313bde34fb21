"""What was said, and the files that go with it; both are there while she is stopped."""

from __future__ import annotations

import asyncio
import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from daemon.api.errors import Unprocessable
from daemon.api.lookup import find_persona
from daemon.http.answers import NO_STORE, Fault, json_response, problem
from daemon.ledger import DIED, PAGE_LINES, Ledger, StoredLine, Wanted
from daemon.personas.personas import Personas

MOST_LINES: Final = 1000
"""Lines in one answer, whatever limit is asked for; the next page has the others."""

LONGEST_SEARCH: Final = 200

_MOST: Final = 10**18 - 1

_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}\Z")
_RANGE: Final = re.compile(rb"bytes=(?:(\d{1,18})-(\d{0,18})|-\d{1,18})\Z")

SHOWN_TYPES: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".webm": "audio/webm",
    ".flac": "audio/flac",
    ".aac": "audio/aac",
    ".opus": "audio/ogg",
    ".txt": "text/plain",
    ".md": "text/plain",
    ".csv": "text/plain",
}
"""What a browser may show by itself. Everything else is a download, so that no file runs as a page of ours."""


class ChannelShown(msgspec.Struct):
    """Where a line was said."""

    type: str
    name: str


class AsideShown(msgspec.Struct):
    """A message that was set aside: ``POST .../retry`` takes this id."""

    id: int
    reason: str


class Message(msgspec.Struct, omit_defaults=True):
    """One line of the conversation; ``time`` is ISO 8601 with its offset, ``media`` a file under ``.../media/``.

    ``title`` is what the person called the file, ``perceived`` what she heard, saw or read in it. ``id`` grows line by
    line and leads on to other pages; a message that she has not answered is no line yet and has none. ``set_aside``
    marks a message that she does not answer. ``hushed``: she was told to stop there.
    """

    role: str
    content: str
    channel: ChannelShown
    time: str
    media: str | None = None
    title: str = ""
    perceived: str = ""
    set_aside: AsideShown | None = None
    id: int = 0
    hushed: bool = False


class HistoryRoutes:
    """What was said with a persona, and her files."""

    def __init__(self, *, personas: Personas, ledger: Ledger) -> None:
        self._personas = personas
        self._ledger = ledger

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/persona/{persona_id}/conversation", self.conversation),
            Route("/api/persona/{persona_id}/media/{filename}", self.media),
        ]

    async def conversation(self, request: Request) -> Response:
        """``GET /api/persona/{persona_id}/conversation``: the last lines, or those that the query asks for."""
        persona = find_persona(self._personas, request)
        lines = await self._ledger.conversation(persona.id, read_wanted(request))
        return await asyncio.to_thread(_shown, lines)

    async def media(self, request: Request) -> Response:
        """``GET /api/persona/{persona_id}/media/{filename}``: a file that she perceived or made."""
        persona = find_persona(self._personas, request)
        name = request.path_params["filename"]
        folder = self._personas.folder(persona.id) / "media"
        descriptor = await asyncio.to_thread(_open, folder, name) if _NAME.match(name) else None
        if descriptor is None:
            raise HTTPException(404, "File not found.")
        return OpenFile(descriptor, name)


def read_wanted(request: Request) -> Wanted:
    """Return which lines ``?limit=``, ``?before=``, ``?after=`` and ``?q=`` ask for. Raises Unprocessable."""
    limit, before, after = (_number(request, name) for name in ("limit", "before", "after"))
    if before is not None and after is not None:
        raise Unprocessable([Fault("value_error", ("query", "after"), "Give before or after, not both")])
    words = request.query_params.get("q", "")
    if len(words) > LONGEST_SEARCH:
        text = f"String should have at most {LONGEST_SEARCH} characters"
        raise Unprocessable([Fault("string_too_long", ("query", "q"), text)])
    return Wanted(PAGE_LINES if limit is None else min(limit, MOST_LINES), before, after, words)


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text):
        wanted = f"Input should be a whole number from 0 to {_MOST}"
        raise Unprocessable([Fault("int_parsing", ("query", name), wanted)])
    return int(text)


def _shown(lines: list[StoredLine]) -> Response:
    return json_response({"messages": [_message(line) for line in lines]})


def _message(line: StoredLine) -> Message:
    channel = ChannelShown(line.conversation.type, line.conversation.name)
    when = datetime.fromtimestamp(line.at / 1e9, UTC).astimezone()
    time = when.isoformat(timespec="milliseconds")
    aside = AsideShown(line.set_aside, line.reason or DIED) if line.set_aside else None
    file = (line.media, line.title, line.perceived)
    return Message(line.role, line.content, channel, time, *file, aside, line.id, line.hushed)


def _open(folder: Path, name: str) -> int | None:
    """Open a regular file directly in ``folder``, through no symbolic link; None when there is none."""
    try:
        inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # O_NONBLOCK: a pipe that somebody put there must not hold a thread for ever.
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=inside)
    except OSError:
        return None
    finally:
        os.close(inside)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return descriptor


class OpenFile(FileResponse):
    """A file sent by its open descriptor, which it closes: what was checked is what is sent."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        shown = SHOWN_TYPES.get(Path(name).suffix.lower())
        super().__init__(
            f"/proc/self/fd/{descriptor}",
            headers=NO_STORE,
            media_type=shown or "application/octet-stream",
            filename=name,
            stat_result=os.fstat(descriptor),
            content_disposition_type="inline" if shown else "attachment",
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            size = self.stat_result.st_size if self.stat_result else 0
            asked = [value for name, value in scope["headers"] if name == b"range"]
            first, last = _span(asked)
            if first is not None and first >= size:
                await problem(416, "The range begins after the end of the file.", {"content-range": f"bytes */{size}"})(
                    scope, receive, send
                )
                return
            if len(asked) != 1 or not _RANGE.match(asked[0]) or (last is not None and last < (first or 0)):
                # RFC 9110, 14.2: a Range that is not understood is ignored.
                scope = {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"range"]}
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._descriptor)


def _span(asked: list[bytes]) -> tuple[int | None, int | None]:
    found = _RANGE.match(asked[0]) if len(asked) == 1 else None
    if found is None or found[1] is None:
        return None, None
    return int(found[1]), int(found[2]) if found[2] else None
