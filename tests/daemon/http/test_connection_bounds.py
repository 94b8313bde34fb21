"""What an unauthenticated peer may send on one connection: every byte has a bound, and every wait has an end.

In the process, on a loop whose time jumps: the peer is a transport that keeps what is written to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from daemon.http import protocols
from daemon.http.protocols import LINGER_BYTES, MAX_AHEAD, MAX_FIELDS, MAX_HEAD, HttpProtocol
from daemon.http.websocket_protocol import MAX_FRAGMENTS, WebSocketProtocol
from tests.daemon.fakes.clock import JumpingLoop

READ: Final = 65_536
HEAD: Final = b"POST / HTTP/1.1\r\nhost: localhost\r\n"
CHUNKED: Final = HEAD + b"transfer-encoding: chunked\r\n\r\n"
WEBSOCKET: Final = (
    b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


class Peer(asyncio.Transport):
    """The other end of a connection to ``protocol``, as the protocol sees it."""

    def __init__(self, kind: type[HttpProtocol] = HttpProtocol, app: Any = None) -> None:
        super().__init__()
        config = Config(app or refuse, ws=WebSocketProtocol, log_config=None, access_log=False, lifespan="off")
        self.received = b""
        self.ended = False
        self.closed = asyncio.Event()
        self.protocol: Any = kind(config, ServerState(), {}, asyncio.get_running_loop())
        self.protocol.connection_made(self)

    async def send(self, *pieces: bytes) -> int:
        """Send them in reads of 64 KiB until the daemon hangs up; return how many bytes it took."""
        taken = 0
        for piece in pieces:
            for start in range(0, len(piece), READ):
                await asyncio.sleep(0)
                if self.is_closing():
                    return taken
                self.protocol.data_received(piece[start : start + READ])
                taken += len(piece[start : start + READ])
        return taken

    def status(self) -> bytes:
        """The status of the last answer."""
        return self.received.rpartition(b"HTTP/1.1 ")[2][:3]

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.ended:
            # As a transport does, but where a test sees it.
            self.received += b"AFTER THE END"
        self.received += data

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.closed.is_set()

    def close(self) -> None:
        if not self.closed.is_set():
            self.closed.set()
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 401 without a look at the body, as a request without a token is answered."""
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    await send({"type": f"{kind}.start", "status": 401, "headers": [(b"content-length", b"2")]})
    await send({"type": f"{kind}.body", "body": b"no"})


async def take(scope: Scope, receive: Receive, send: Send) -> None:
    """Read a body and answer with its size; a socket reads for ever."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    text = b"%d" % size
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


async def never(scope: Scope, receive: Receive, send: Send) -> None:
    """Do not answer."""
    await asyncio.Event().wait()


def run(test: Callable[[], Coroutine[object, object, None]]) -> None:
    """Run it on a loop whose time jumps."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(test())


TRAILERS: Final = b"".join(b"x-%06d: %s\r\n" % (number, b"a" * 60) for number in range(100_000))
ENDLESS: Final = {
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", TRAILERS),
    "one trailer": (CHUNKED + b"2\r\n{}\r\n0\r\nx: ", b"a" * 10_000_000),
    "a chunk's extension": (CHUNKED + b"2;x=", b"a" * 10_000_000),
    "extensions": (CHUNKED, b"1;x=%s\r\n.\r\n" % (b"a" * 1000) * 10_000),
    "leading zeros of a size": (CHUNKED, b"0" * 10_000_000),
    "empty lines": (b"", b"\r\n" * 5_000_000),
    "a header": (HEAD + b"x: ", b"a" * 10_000_000),
    "a path": (b"GET /", b"a" * 10_000_000),
    "a method": (b"", b"G" * 10_000_000),
}


@pytest.mark.parametrize("app", [take, never])
@pytest.mark.parametrize("what", ENDLESS)
def test_bytes_without_end_are_cut(what: str, app: Any) -> None:
    """Nothing that is no body goes on for ever, whether the application reads, or has not answered yet."""

    async def test() -> None:
        start, endless = ENDLESS[what]
        peer = Peer(app=app)
        await peer.send(start)
        taken = await peer.send(endless)
        assert peer.is_closing()
        assert taken <= MAX_HEAD + 2 * READ
        assert len(peer.protocol.headers or ()) <= MAX_FIELDS

    run(test)


@pytest.mark.parametrize("body", ["trailers", "body"])
def test_refused_bodies_are_thrown_away_for_a_moment(body: str) -> None:
    """A refused client learns it and that the connection ends, and no more than the limit is read from it."""

    async def test() -> None:
        peer = Peer()
        await peer.send(CHUNKED)
        await asyncio.sleep(0)
        assert peer.status() == b"401"
        assert b"connection: close\r\n" in peer.received
        assert peer.ended
        assert not peer.is_closing()
        endless = TRAILERS if body == "trailers" else b"ffff\r\n" + b"a" * 65_535 + b"\r\n"
        taken = await peer.send(b"0\r\n" if body == "trailers" else b"", *[endless] * (20_000_000 // len(endless) + 1))
        assert taken <= LINGER_BYTES + READ
        assert peer.is_closing()
        assert peer.received.count(b"HTTP/1.1 ") == 1

    run(test)


def test_refusal_of_a_slow_body_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that drips after its refusal does not hold the connection."""

    async def test() -> None:
        peer = Peer()
        await peer.send(CHUNKED)
        while not peer.is_closing():
            await peer.send(b"1\r\na\r\n")
            await asyncio.sleep(0.5)
        assert asyncio.get_running_loop().time() <= protocols.LINGER + 1
        assert b"AFTER THE END" not in peer.received

    run(test)


def test_connection_goes_on_after_whole_requests() -> None:
    """A refusal of what was read whole does not end the connection, however often it comes, nor do odd chunks."""

    async def test() -> None:
        peer = Peer()
        for _ in range(50):
            await peer.send(HEAD + b"content-length: 60000\r\n\r\n" + b"a" * 60_000)
            await asyncio.sleep(0)
        assert peer.received.count(b" 401 ") == 50
        assert not peer.is_closing()
        peer = Peer(app=take)
        for _ in range(5):
            await peer.send(CHUNKED, *[b"1\r\n.\r\n" * 20_000] * 2, b"0\r\nx-checksum: 1\r\n\r\n")
            await asyncio.sleep(0.01)
        assert peer.received.count(b"\r\n40000") == 5
        assert not peer.is_closing()

    run(test)


def test_heads_are_counted_exactly() -> None:
    """A head just below the limit passes and one above does not, though it comes in one read; nor do many fields."""

    async def test() -> None:
        field = b"x: " + b"a" * 995 + b"\r\n"
        for heads, status in (([field] * 60, b"401"), ([field] * 66, b"431"), ([b"x:\r\n"] * 200, b"431")):
            peer = Peer()
            peer.protocol.data_received(b"GET / HTTP/1.1\r\n" + b"".join(heads) + b"\r\n")
            await asyncio.sleep(0)
            assert peer.status() == status

    run(test)


def test_requests_ahead_of_answers_are_bounded() -> None:
    """A read of 64 KiB holds thousands of requests: no more than a few wait, each of which costs a kilobyte."""

    async def test() -> None:
        peer = Peer(app=never)
        peer.protocol.data_received(b"GET / HTTP/1.1\r\n\r\n" * 3000)
        assert len(peer.protocol.pipeline) <= MAX_AHEAD
        assert peer.is_closing()
        peer = Peer()
        peer.protocol.data_received(b"GET / HTTP/1.1\r\n\r\n" * MAX_AHEAD)
        await asyncio.sleep(0.1)
        assert peer.received.count(b" 401 ") == MAX_AHEAD

    run(test)


def test_dripping_bodies_end() -> None:
    """A byte a minute keeps no body alive, while a slow but steady one is read for hours."""

    async def test() -> None:
        peer = Peer(app=take)
        await peer.send(HEAD + b"content-length: 1000000\r\n\r\n")
        while not peer.is_closing():
            await peer.send(b"a")
            await asyncio.sleep(50)
        assert peer.status() == b"408"
        assert asyncio.get_running_loop().time() < 200
        steady = Peer(app=take)
        await steady.send(HEAD + b"content-length: 8000000\r\n\r\n")
        for _ in range(800):
            await steady.send(b"a" * 10_000)
            await asyncio.sleep(15)
        assert steady.received.endswith(b"8000000")

    run(test)


def test_empty_lines_keep_no_connection() -> None:
    """What is sent between requests and begins none does not keep the connection open."""

    async def test() -> None:
        peer = Peer()
        await peer.send(b"GET / HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0)
        while not peer.is_closing():
            await peer.send(b"\r\n")
            await asyncio.sleep(1)
        assert asyncio.get_running_loop().time() <= protocols.HEAD_TIMEOUT + 2

    run(test)


def test_connections_are_bounded() -> None:
    """One more than the limit is told so and closed."""

    class Narrow(HttpProtocol):
        max_connections = 0

    async def test() -> None:
        peer = Peer(Narrow)
        assert peer.status() == b"503"
        assert peer.is_closing()

    run(test)


@pytest.mark.parametrize(
    "fields",
    [b"x: " + b"a" * 10_000 + b"\r\n", b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n"],
    ids=["long", "body", "chunks"],
)
def test_handshakes_that_cannot_be_read_are_refused(fields: bytes) -> None:
    """What the WebSocket library gives up on is refused in words; it used to hold the connection without a word."""

    async def test() -> None:
        peer = Peer(app=take)
        await peer.send(b"GET /ws/system HTTP/1.1\r\nhost: localhost\r\n" + WEBSOCKET + fields + b"\r\n")
        assert peer.status() == b"400"
        assert b'{"detail":' in peer.received
        assert peer.is_closing()

    run(test)


def test_fragments_are_bounded() -> None:
    """Empty fragments add nothing to a message's size; there may be no more than so many."""

    def frame(opcode: int, data: bytes = b"") -> bytes:
        return bytes([opcode, 0x80 | len(data)]) + bytes(4) + data

    async def test() -> None:
        peer = Peer(app=take)
        await peer.send(b"GET /ws/system HTTP/1.1\r\nhost: localhost\r\n" + WEBSOCKET + b"\r\n")
        await asyncio.sleep(0)
        assert peer.status() == b"101"
        await peer.send(frame(1), frame(0) * (MAX_FRAGMENTS - 1))
        assert not peer.is_closing()
        await peer.send(frame(0) * 10_000)
        assert peer.is_closing()
        assert not peer.protocol.frames
        assert (1009).to_bytes(2) in peer.received

    run(test)


def test_peers_cannot_write_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Requests that are no HTTP, other protocols, and refused handshakes leave no line: there may be thousands."""
    get = b"GET /ws/system HTTP/1.1\r\nhost: localhost\r\n"
    sent: Iterable[bytes] = (
        b"\x16\x03\x01\x02\x00\x01\x00",
        get + WEBSOCKET + b"\r\n",
        get + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n",
        get + WEBSOCKET + b"x: \xff\xfe\r\n\r\n",
        HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\n",
    )

    async def test() -> None:
        for request in sent:
            peer = Peer()
            await peer.send(request)
            await peer.closed.wait()
            assert peer.status() in (b"400", b"401")
        crowded = Peer()
        crowded.protocol.limit_concurrency = 1
        await crowded.send(b"GET / HTTP/1.1\r\n\r\n")
        assert crowded.status() == b"503"
        await crowded.closed.wait()

    run(test)
    assert caplog.records == []
