"""Reads the body of a chat server's answer: a stream of events, or one JSON document from a server that cannot stream.

The SDKs' own streams drop what decides whether an answer is whole and whether the server lives: comments, ``[DONE]``,
and a body that holds no events at all. The format:
https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from enum import Enum
from typing import Any, Final, TypeAlias

MAX_EVENT: Final = 4 * 1024 * 1024
"""Bytes of one event, or of a document that is no stream."""

DRAIN: Final = 1.0
"""Seconds for the end of the body after the end of the stream, so that the connection can be used again."""

SHOWN_CHARS: Final = 120

EAGER: Final = 16
"""Pieces of a body that are read as they come. A short answer has no more."""

PAUSE: Final = 0.04
"""Seconds after a later piece for which the reader had to wait. Meanwhile the system collects what comes."""

AT_HAND: Final = 0.001
"""Seconds. A piece that comes sooner was there already."""

_HEAD: Final = 1024
"""Bytes that are kept of what may be no stream, to say what it is."""

_TOO_MUCH: Final = "it sent too much at once"

# Any: a JSON document.
Json: TypeAlias = dict[str, Any]


class Sign(Enum):
    """What a stream says beside its events."""

    ALIVE = 1
    """A comment: the server works on the answer."""
    DONE = 2
    """The stream is complete."""


class Document(dict[str, Any]):
    """A whole answer in one JSON document. Any: JSON."""


class NotEventsError(ValueError):
    """The body is neither events nor one JSON document; the text says what it is."""


async def events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Json | Document | Sign, None]:
    """Yield the events of a body, or its one document.

    Raises NotEventsError for a body of another kind or an event over the limit, ValueError for an event that is not a
    JSON object.
    """
    lines, data, size, seen = _Lines(), list[bytes](), 0, False
    async for chunk in chunks:
        for line in lines.add(chunk):
            name, _, value = line.partition(b":")
            if line.startswith(b":"):
                yield Sign.ALIVE
            elif name == b"data":
                data.append(value.removeprefix(b" "))
                size += len(line)
                if size > MAX_EVENT:
                    raise NotEventsError(_TOO_MUCH)
            elif not line and data:
                seen = True
                event = _event(data)
                yield event
                if event is Sign.DONE:
                    await _drain(chunks)
                    return
                data, size = [], 0
    if data:
        seen = True
        yield _event(data)
    if not seen:
        yield _document(bytes(lines.head))


async def sparing(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Read a long answer in fewer goes: waking up costs more than a piece, and nobody sees each of them by itself."""
    loop, pieces = asyncio.get_running_loop(), 0
    asked = loop.time()
    async for chunk in chunks:
        had_to_wait = loop.time() - asked > AT_HAND
        yield chunk
        pieces += 1
        if pieces >= EAGER and had_to_wait:
            await asyncio.sleep(PAUSE)
        asked = loop.time()


class _Lines:
    """Cuts chunks into lines, and keeps the beginning of what is no event."""

    def __init__(self) -> None:
        self.head = bytearray()
        self._rest = bytearray()
        self._is_stream = False

    def add(self, chunk: bytes) -> list[bytes]:
        """Return the lines that this chunk completes. Raises NotEventsError for a line without an end."""
        if not self._is_stream:
            self.head += chunk
            begun = bytes(self.head[:64]).lstrip(b"\xef\xbb\xbf \r\n\t")
            if not begun or begun[:1] in b"{[<":
                return self._bounded(self.head)
            self._is_stream, chunk = True, bytes(self.head).removeprefix(b"\xef\xbb\xbf")
            del self.head[_HEAD:]
        else:
            self.head += chunk[: max(0, _HEAD - len(self.head))]
        first, newline, after = chunk.partition(b"\n")
        self._rest += first
        if not newline:
            return self._bounded(self._rest)
        *whole, rest = after.split(b"\n")
        lines = [bytes(self._rest), *whole]
        self._rest = bytearray(rest)
        return [line.rstrip(b"\r") for line in lines]

    def _bounded(self, held: bytearray) -> list[bytes]:
        if len(held) > MAX_EVENT:
            raise NotEventsError(_TOO_MUCH)
        return []


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    try:
        async with asyncio.timeout(DRAIN):
            async for _ in chunks:
                pass
    except TimeoutError:
        return


def _event(data: list[bytes]) -> Json | Sign:
    text = b"\n".join(data).decode(errors="replace").strip()
    return Sign.DONE if text.startswith("[DONE]") else _object(text)


def _document(body: bytes) -> Document:
    text = body.decode(errors="replace").removeprefix("\ufeff").strip()
    if not text:
        raise NotEventsError("it sent nothing")
    if text.startswith("<"):
        title = re.search(r"<title[^>]{0,100}>([^<]{1,200})", text[:20_000], re.IGNORECASE)
        raise NotEventsError(f"it sent a web page{f': {title[1].strip()}' if title else ''}")
    try:
        return Document(_object(text))
    except ValueError:
        raise NotEventsError(f"it sent {text[:SHOWN_CHARS]!r}") from None


def _object(text: str) -> Json:
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it sent too many brackets") from None
    if isinstance(value, dict):
        return value
    raise ValueError(f"it sent {text[:SHOWN_CHARS]!r}")
