"""The worker's end of the link: a DEALER whose routing id, which only the daemon knows, proves its identity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

import msgspec
import zmq

from proto.framing import Codec
from proto.host import ToHost
from proto.messages import MAX_FRAME, ToWorker
from proto.wire import HIGH_WATER_MARK, Wire

T = TypeVar("T")


# Created before the fork, because it takes a millisecond.
WORKER_CODEC: Final[Codec[ToWorker]] = Codec(ToWorker)  # type: ignore[arg-type]  # a union is no type to mypy
HOST_CODEC: Final[Codec[ToHost]] = Codec(ToHost)  # type: ignore[arg-type]  # a union is no type to mypy


class Link(Generic[T]):
    """Connects to ``endpoint`` and hands every message to ``receive``.

    The context is created after the fork, because a ZeroMQ context does not survive one. A frame that cannot be decoded
    ends this process, and so does a daemon that takes no frames: FrameError and WireError go to the event loop.
    """

    def __init__(self, endpoint: str, routing_id: bytes, codec: Codec[T], receive: Callable[[T], None]) -> None:
        self._codec = codec
        self._receive = receive
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.ROUTING_ID, routing_id)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME)
        socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
        socket.setsockopt(zmq.RCVHWM, HIGH_WATER_MARK)
        socket.connect(endpoint)
        self._wire = Wire(socket, self._read)

    def send(self, message: msgspec.Struct) -> None:
        """Queue one message. Raises WireError when the queue is full."""
        self._wire.send([self._codec.encode(message)])

    def close(self) -> None:
        """Close the link and drop unsent messages: the daemon has no use for them once this process ends."""
        self._wire.close()
        self._context.term()

    def _read(self, parts: list[bytes]) -> None:
        self._receive(self._codec.decode(parts[-1]))
