"""The daemon's end of the link: one ROUTER socket and one handler per process. Frames of unknown peers are dropped."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec
import zmq

from daemon.logging.log import Log
from daemon.supervision.budget import FRAMES, Bucket, Budget
from proto.framing import Codec, FrameError
from proto.messages import MAX_FRAME
from proto.wire import HIGH_WATER_MARK, Wire

T = TypeVar("T")

SOCKET_NAME: Final = "link.sock"

RECEIVED_AHEAD: Final = 32
"""Frames of one process that wait in the daemon's memory; the others wait in its own."""
LOGGED: Final = 100
"""Of the frames of one process that are refused, the first and then one in so many are logged."""


class Peer(Generic[T]):
    """One process as the link knows it. Its routing id is a secret of 128 random bits that only this process gets.

    A process that goes over its budget is forgotten, and ``greedy`` is called with the reason.
    """

    def __init__(
        self, link: Link, codec: Codec[T], receive: Callable[[T], None], budget: Budget, greedy: Callable[[str], None]
    ) -> None:
        self.routing_id = b"p" + secrets.token_bytes(16)
        self._link = link
        self._codec = codec
        self._receive = receive
        self._greedy = greedy
        self._frames = Bucket(budget.frames, time.monotonic)
        self._bytes = Bucket(budget.bytes, time.monotonic)
        self.refused = 0

    def send(self, message: msgspec.Struct) -> None:
        """Queue one message. Raises WireError when the process is not connected or takes no messages."""
        self._link.send(self.routing_id, self._codec.encode(message))

    def take(self, frame: bytes) -> None:
        """Decode one frame and hand the message on. Raises FrameError for a frame that is not a message."""
        if self._frames.take(1) or self._bytes.take(len(frame)):
            self.forget()
            self._greedy("it sent more messages, or larger ones, than the daemon takes from one process")
            return
        self._receive(self._codec.decode(frame))

    def forget(self) -> None:
        """Drop everything that the process still sends: its generation is over."""
        self._link.forget(self.routing_id)


class Link:
    """Listens on a socket in ``runtime_dir``, which only the daemon's user can access."""

    def __init__(self, runtime_dir: Path, log: Log) -> None:
        self._path = runtime_dir / SOCKET_NAME
        self.endpoint = f"ipc://{self._path}"
        self.dropped = 0
        self._log = log
        self._peers: dict[bytes, Peer[object]] = {}
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        socket = self._context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME)
        socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
        socket.setsockopt(zmq.RCVHWM, RECEIVED_AHEAD)
        socket.bind(self.endpoint)
        self._wire = Wire(socket, self._read)

    def expect(
        self,
        codec: Codec[T],
        receive: Callable[[T], None],
        budget: Budget = FRAMES,
        greedy: Callable[[str], None] = lambda _reason: None,
    ) -> Peer[T]:
        """The peer for a process that is about to be started."""
        peer = Peer(self, codec, receive, budget, greedy)
        self._peers[peer.routing_id] = peer  # type: ignore[assignment]  # each peer keeps to its own codec's type
        return peer

    def send(self, routing_id: bytes, frame: bytes) -> None:
        """Queue one frame. Raises WireError."""
        self._wire.send([routing_id, frame])

    def forget(self, routing_id: bytes) -> None:
        """Drop all further frames from this peer."""
        self._peers.pop(routing_id, None)

    def close(self) -> None:
        """Stop listening, and remove the socket's file: ZeroMQ leaves it where it is."""
        self._wire.close()
        self._context.term()
        with suppress(OSError):
            self._path.unlink()

    def _read(self, parts: list[bytes]) -> None:
        peer = self._peers.get(parts[0])
        if peer is None:
            self.dropped += 1
            return
        try:
            peer.take(parts[-1])
        except FrameError as error:
            self.dropped += 1
            if peer.refused % LOGGED == 0:
                self._log.warning("link.frame_refused", reason=str(error), before=peer.refused)
            peer.refused += 1
