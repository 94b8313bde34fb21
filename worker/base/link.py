"""The worker's end of the link: a DEALER whose routing id, known to the daemon alone, proves who it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

import msgspec
import zmq

from proto.framing import Codec
from proto.messages import MAX_FRAME, ToHost, ToWorker
from proto.wire import HIGH_WATER_MARK, Wire

T = TypeVar("T")


# Made before the fork: it takes a millisecond.
WORKER_CODEC: Final[Codec[ToWorker]] = Codec(ToWorker)  # type: ignore[arg-type]  # a union is no type to mypy
HOST_CODEC: Final[Codec[ToHost]] = Codec(ToHost)  # type: ignore[arg-type]  # a union is no type to mypy


class Link(Generic[T]):
    """Connects to ``endpoint`` and hands every message to ``receive``.

    The context is made here, after the fork: a ZeroMQ context does not survive one. A frame that does not decode
    or a daemon that takes no frames is the end of this process: FrameError and WireError go to the loop.
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
        """Queue one message; raises WireError when the daemon has let too many pile up."""
        self._wire.send([self._codec.encode(message)])

    def close(self) -> None:
        """Drop what is unsent: whoever asked this process to leave has no use for it."""
        self._wire.close()
        self._context.term()

    def _read(self, parts: list[bytes]) -> None:
        self._receive(self._codec.decode(parts[-1]))
