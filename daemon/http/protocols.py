"""Uvicorn's two protocols, with the bounds that they lack.

HTTP: a head is bounded in size and in time, and a body may not stall. WebSocket: a peer that reads nothing
is dropped rather than waited for, and its pings cost no memory.
"""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MAX_HEAD: Final = 65_536
"""Bytes of a request's line and headers, counted in whole reads."""
HEAD_TIMEOUT: Final = 20.0
STALL_TIMEOUT: Final = 60.0
"""Seconds without a byte of a body that has begun."""
LINGER: Final = 3.0
"""Seconds in which a closed WebSocket's peer must take what was sent."""

_TOO_LARGE: Final = b'{"detail":"The request line and headers are over the limit: send less."}'
_TOO_SLOW: Final = b'{"detail":"The request did not come whole in time: send it at once."}'


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection; a server that wants narrower bounds sets them in a class of its own."""

    max_head = MAX_HEAD
    head_timeout = HEAD_TIMEOUT
    stall_timeout = STALL_TIMEOUT

    _began = False
    _in_head = True
    _in_body = False
    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn declares it
        super().connection_made(transport)
        self._expect(self.head_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        was_in_head = self._in_head
        super().data_received(data)
        if self._in_head:
            self._head_bytes = self._head_bytes + len(data) if was_in_head else 0
            if self._head_bytes > self.max_head:
                self._refuse(b"431 Request Header Fields Too Large", _TOO_LARGE)
            elif self._deadline is None:
                self._expect(self.head_timeout)
        else:
            self._head_bytes = 0
            if self._in_body or self._deadline is not None:
                self._expect(self.stall_timeout if self._in_body else None)

    def on_message_begin(self) -> None:
        self._began = self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body = False, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._in_body = False
        super().handle_websocket_upgrade()

    def _expect(self, seconds: float | None) -> None:
        """Refuse the request unless this is called again in time."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None:
            self._deadline = self.loop.call_later(seconds, self._refuse, b"408 Request Timeout", _TOO_SLOW)

    def _refuse(self, status: bytes, body: bytes) -> None:
        """Answer a request that has begun, where no answer is on its way, and hang up."""
        self._expect(None)
        cycle: RequestResponseCycle | None = self.cycle
        if self._began and (cycle is None or cycle.response_complete):
            head = b"HTTP/1.1 " + status + b"\r\ncontent-type: application/json\r\nconnection: close\r\n"
            self.transport.write(head + b"content-length: " + str(len(body)).encode() + b"\r\n\r\n" + body)
        self.transport.close()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket."""

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self.loop.call_later(LINGER, self.transport.abort)

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:
            # Its pongs would pile up before a peer that does not read.
            self.conn.data_to_send()
