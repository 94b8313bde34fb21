"""Uvicorn's WebSocket protocol, with the bounds that it lacks.

A handshake that cannot be read is refused, a peer that reads nothing is dropped rather than waited for, its pings cost
no memory, and a message has a bounded number of fragments.
"""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from daemon.http.protocols import Refusal

LINGER: Final = 3.0
"""Seconds in which a closed WebSocket's peer must take what was sent."""
MAX_FRAGMENTS: Final = 1024
"""Frames of one message; an empty one adds nothing to its size."""

UNREADABLE: Final = Refusal(
    b"400 Bad Request", "This handshake cannot be read: send no body, and header lines of less than 8192 bytes."
)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.handshake_initiated:
            # The whole head was there: `websockets` does not take it, and waits for the peer to go.
            self.transport.write(UNREADABLE.encoded())
            self.transport.close()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self.loop.call_later(LINGER, self.transport.abort)

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if self.close_sent:
            # uvicorn takes a refused handshake for a forgotten one, and writes an error for each.
            self.handshake_complete = True

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:
            # Its pongs would pile up before a peer that does not read.
            self.conn.data_to_send()

    def handle_cont(self, event: Frame) -> None:
        if self.close_sent:
            return
        if len(self.frames) >= MAX_FRAGMENTS:
            self.frames = []
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self.handle_parser_exception()
        else:
            super().handle_cont(event)
