"""Uvicorn's HTTP protocol, with the bounds that it lacks: no part of a connection is without a bound.

- A head: its bytes, its fields, and the time in which it comes whole.
- A body: what the application is given counts against the application's own limits. It may neither stall nor drip.
- Every other byte, between a head and the next one: chunk lines and their extensions, trailers, empty lines. Trailers
  are read past, for nothing here needs them (RFC 9110, section 6.5.1).
- Requests that are sent ahead of their answers.
- Connections, and the bytes behind the last request of one.

An answer that is sent before its request's body was read whole ends the connection (RFC 9112, section 9.6). Nothing
here writes to the log, because anybody who can connect could fill it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import httptools
from starlette.types import Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

MAX_HEAD: Final = 65_536
"""Bytes of a request's line and headers, and of everything else that is no body. Counted where a line ends, or in
whole reads where none does."""
MAX_FIELDS: Final = 128
"""Header lines of one request; ``websockets`` takes as many."""
MAX_AHEAD: Final = 16
"""Requests that wait for the answer to an earlier one."""
MAX_CONNECTIONS: Final = 4096
HEAD_TIMEOUT: Final = 20.0
STALL_TIMEOUT: Final = 60.0
"""Seconds without a byte of a body that has begun, and seconds for the whole body besides what ``MIN_RATE`` gives."""
MIN_RATE: Final = 512
"""Bytes of a body in a second, on the average."""
FRAMING: Final = 8
"""Bytes of chunk lines for one byte of the body: a chunk of one byte has five."""
LINGER: Final = 3.0
LINGER_BYTES: Final = 16 * 1024 * 1024
"""How long, and how much, is read and thrown away after an answer that ends the connection. Closing while bytes
arrive sends a reset, and the peer may lose the answer because of it (RFC 9112, section 9.6)."""


class Refusal(NamedTuple):
    """An answer from below the application, which ends the connection."""

    status: bytes
    detail: str

    def encoded(self) -> bytes:
        """The whole answer."""
        body = b'{"detail":"' + self.detail.encode() + b'"}'
        head = b"HTTP/1.1 " + self.status + b"\r\ncontent-type: application/json\r\nconnection: close\r\n"
        return head + b"content-length: " + str(len(body)).encode() + b"\r\n\r\n" + body


MALFORMED: Final = Refusal(b"400 Bad Request", "This is not HTTP/1.1: send a request as RFC 9112 describes it.")
TOO_LARGE: Final = Refusal(
    b"431 Request Header Fields Too Large", "The request line and headers are over the limit: send less."
)
TOO_MUCH_BESIDES: Final = Refusal(
    b"400 Bad Request", "What surrounds the body is over the limit: send larger chunks and no trailers."
)
TOO_FAR_AHEAD: Final = Refusal(b"429 Too Many Requests", "Wait for answers before you send further requests.")
TOO_SLOW: Final = Refusal(b"408 Request Timeout", "The request did not come whole in time: send it at once.")
TOO_MANY: Final = Refusal(b"503 Service Unavailable", "Too many connections are open: come back later.")


class _Stopped(Exception):
    """Stops the parser in the middle of a read."""


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection; a server that wants narrower bounds sets them in a class of its own."""

    max_head = MAX_HEAD
    max_connections = MAX_CONNECTIONS
    head_timeout = HEAD_TIMEOUT
    stall_timeout = STALL_TIMEOUT

    _began = False
    _fresh = 0
    """How many requests began in this read."""
    _in_head = True
    _in_body = False
    _head = 0
    """Bytes of this head."""
    _body = 0
    """Bytes of this body that the application was given."""
    _besides = 0
    """Bytes of this request that are neither."""
    _body_until = 0.0
    _refusal: Refusal | None = None
    _thrown_away: int | None = None
    """Bytes behind the last request of this connection; None while there may be further ones."""
    _deadline: asyncio.TimerHandle | None = None

    # Any: uvicorn's own type of the state.
    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._application = self.app
        self.app = self._answer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn declares it
        super().connection_made(transport)
        self._parting = _Parting(transport, self._leave)
        if len(self.connections) > self.max_connections:
            transport.write(TOO_MANY.encoded())
            transport.close()
        else:
            self._expect(self.head_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._thrown_away is not None:
            self._throw_away(len(data))
            return
        self._fresh, before, was_in_body = 0, self._body, self._in_body
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._upgrade()
            return
        except httptools.HttpParserError:
            self._refuse(self._refusal or MALFORMED)
            return
        if not self._fresh:
            self._besides += len(data) - (self._body - before)
        else:
            # In a read with parts of several requests nobody knows whose bytes these are. Heads are counted by line.
            self._besides = len(data) - self._body if self._fresh == 1 and not was_in_body else 0
        if self._besides > self.max_head + FRAMING * self._body:
            self._refuse(TOO_LARGE if self._in_head else TOO_MUCH_BESIDES)
        else:
            self._set_deadline()

    # What the parser found

    def on_message_begin(self) -> None:
        self._began = self._in_head = True
        self._fresh += 1
        self._head = self._body = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._head += len(url)
        if self._head > self.max_head:
            self._stop(TOO_LARGE)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            self._head += len(name) + len(value) + 4
            if self._head > self.max_head or len(self.headers) >= MAX_FIELDS:
                self._stop(TOO_LARGE)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MAX_AHEAD:
            self._stop(TOO_FAR_AHEAD)
        if self.limit_concurrency is not None and self.limit_concurrency <= max(len(self.connections), len(self.tasks)):
            # uvicorn refuses it too, but with a warning for each.
            self._stop(TOO_MANY)
        self._in_head, self._in_body = False, True
        self._body_until = self.loop.time() + self.stall_timeout
        before: RequestResponseCycle | None = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            self.cycle.transport = self._parting  # type: ignore[assignment] # it has all that a cycle calls

    def on_body(self, body: bytes) -> None:
        if not self.cycle.response_complete:
            self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def _stop(self, refusal: Refusal) -> None:
        self._refusal = refusal
        raise _Stopped

    # Answers, and the end

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application; an answer to a request that is still on its way says that the connection ends."""
        if not self._in_body:
            # Nearly always: the whole request came before its task began.
            await self._application(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if self._in_body and message["type"] == "http.response.start" and self.scope is scope:
                others = (field for field in message["headers"] if field[0] != CLOSE_HEADER[0])
                message = {**message, "headers": [*others, CLOSE_HEADER]}
            await send(message)

        await self._application(scope, receive, sending)

    def on_response_complete(self) -> None:
        if self._thrown_away is None:
            super().on_response_complete()
        else:
            self.flow.resume_reading()

    def _leave(self) -> None:
        """Hang up after the last answer."""
        if not self._in_body or self.transport.is_closing():
            self.transport.close()
            return
        self._thrown_away = 0
        self._expect(None)
        # Nothing may be written after the end of the stream, not even a refusal.
        self._deadline = self.loop.call_later(LINGER, self.transport.close)
        self.transport.write_eof()

    def _throw_away(self, size: int) -> None:
        self._thrown_away = (self._thrown_away or 0) + size
        if self._thrown_away > LINGER_BYTES:
            self.transport.close()

    def _upgrade(self) -> None:
        self._expect(None)
        self._in_body = False
        if self._should_upgrade():
            self.handle_websocket_upgrade()
        else:
            # Answered as if it did not ask (RFC 9110, section 7.8). What follows may be its body, or another protocol.
            self.cycle.keep_alive = False
            self._thrown_away = 0

    def _set_deadline(self) -> None:
        """Bound the time until the next byte that this request needs; an answer takes as long as it takes."""
        if self._in_body:
            whole = self._body_until + self._body / MIN_RATE - self.loop.time()
            self._expect(min(self.stall_timeout, max(0.0, whole)))
        elif self._in_head or self.cycle.response_complete:
            if self._deadline is None:
                self._expect(self.head_timeout)
        elif self._deadline is not None:
            self._expect(None)

    def _expect(self, seconds: float | None) -> None:
        """Refuse the request unless this is called again in time."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None:
            self._deadline = self.loop.call_later(seconds, self._refuse, TOO_SLOW)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer a request that has begun, where no answer is on its way, and hang up."""
        self._expect(None)
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        answering = cycle is not None and cycle.response_started and not cycle.response_complete
        if cycle is not None and not cycle.response_complete:
            # From here on, what the application sends reaches nobody.
            cycle.disconnected = True
            cycle.message_event.set()
        if self._began and not answering and not self.pipeline:
            self.transport.write(refusal.encoded())
        self.transport.close()


class _Parting:
    """What an answer is written to: it hangs up through the protocol, which first takes what is still on its way."""

    def __init__(self, transport: asyncio.Transport, leave: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = leave
