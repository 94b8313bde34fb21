"""Clients on plain sockets, whose own cost must not show in the figures."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Final

import msgspec
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

TIMEOUT: Final = 20.0


def post(path: str, port: int, body: object = None) -> bytes:
    """Write a request."""
    content = msgspec.json.encode(body)
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    ).encode() + content


def get(path: str, port: int) -> bytes:
    """Write a request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()


def answer_end(data: bytes) -> int:
    """Return where the first whole answer in ``data`` ends, or 0 while it is incomplete."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return 0
    _, found, rest = data[:head].lower().partition(b"\r\ncontent-length:")
    end = head + 4 + (int(rest.partition(b"\r\n")[0]) if found else 0)
    return end if end <= len(data) else 0


class Connection:
    """One HTTP connection that is kept alive, with one request at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, request: bytes) -> None:
        """Send a request."""
        self._socket.sendall(request)

    def receive(self) -> None:
        """Wait for the answer, which must be a 200."""
        data = b""
        while not answer_end(data):
            received = self._socket.recv(65_536)
            assert received, "the server closed the connection"
            data += received
        assert data.startswith(b"HTTP/1.1 200"), data.decode(errors="replace")

    def request(self, request: bytes) -> None:
        """Send a request and wait for its answer."""
        self.send(request)
        self.receive()


class WebSocket:
    """One WebSocket; iterate over it for its texts."""

    def __init__(self, port: int, path: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self._protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}{path}"))
        self._protocol.send_request(self._protocol.connect())
        self._flush()
        self._texts = self._receive()
        while self._protocol.state is State.CONNECTING:
            self._take()
        assert self._protocol.handshake_exc is None, self._protocol.handshake_exc

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def __iter__(self) -> Iterator[bytes]:
        return self._texts

    def wait_for(self, part: bytes) -> bytes:
        """Skip texts until one that holds ``part``, and return it."""
        return next(text for text in self._texts if part in text)

    def drain(self) -> None:
        """Read and discard everything on a separate thread until this is closed."""
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self) -> None:
        try:
            while self._socket.recv(262_144):
                pass
        except OSError:
            # The socket is closed, or nothing came for a long time: either way it is no longer needed.
            return

    def _receive(self) -> Iterator[bytes]:
        while True:
            for event in self._protocol.events_received():
                if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    yield bytes(event.data)
            self._take()

    def _take(self) -> None:
        received = self._socket.recv(65_536)
        assert received, "the server closed the socket"
        self._protocol.receive_data(received)
        self._flush()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            self._socket.sendall(data)
