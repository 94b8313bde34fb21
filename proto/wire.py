"""A ZeroMQ socket on an asyncio loop: every message goes to one callback, and no send waits.

``zmq.asyncio`` creates a future for each message; here the loop watches the socket's descriptor itself. The descriptor
is edge-triggered (ZMQ_FD, https://libzmq.readthedocs.io/en/latest/zmq_getsockopt.html): an edge that a send consumes is
not signalled again, so the socket is asked for its events after every send and every batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import zmq

BATCH: Final = 64
"""Messages read before the loop gets to do something else."""

HIGH_WATER_MARK: Final = 1000
"""Messages queued to one peer before a send is refused."""


class WireError(ConnectionError):
    """The peer is not there, or too many messages to it are queued."""


READABLE: Final = int(zmq.POLLIN)
"""As a plain number: operations on a flag of Python's take longer than the question to ZeroMQ."""


class Wire:
    """Owns ``socket``. ``receive`` gets the parts of each message and must not raise."""

    def __init__(self, socket: zmq.Socket[bytes], receive: Callable[[list[bytes]], None]) -> None:
        self._socket = socket
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._descriptor = int(socket.getsockopt(zmq.FD))
        self._loop.add_reader(self._descriptor, self._read)
        self._loop.call_soon(self._read)

    def send(self, parts: list[bytes]) -> None:
        """Queue one message. Raises WireError when the peer is unknown or its queue is full."""
        try:
            self._socket.send_multipart(parts, zmq.NOBLOCK)
        except zmq.Again:
            raise WireError("the peer does not take its messages") from None
        except zmq.ZMQError as error:
            raise WireError(f"the peer cannot be reached: {error}") from error
        if self._readable():
            self._loop.call_soon(self._read)

    def close(self) -> None:
        """Drop unsent messages, and stop watching the descriptor before the socket is closed."""
        if not self._socket.closed:
            self._loop.remove_reader(self._descriptor)
            self._socket.close(linger=0)

    def _readable(self) -> bool:
        return bool(int(self._socket.getsockopt(zmq.EVENTS)) & READABLE)

    def _read(self) -> None:
        for _ in range(BATCH):
            if self._socket.closed or not self._readable():
                return
            self._receive(self._socket.recv_multipart(zmq.NOBLOCK))
        self._loop.call_soon(self._read)
