"""The daemon's end of the link, with a peer that behaves like a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import zmq

from daemon.logging.log import Log, Sink
from daemon.runtime.clock import SystemClock
from daemon.settings.settings import Logs
from daemon.supervision.link import Link
from proto.framing import Codec
from proto.messages import Fault, FromWorker
from tests.patience import PATIENCE

CODEC: Codec[FromWorker] = Codec(FromWorker)  # type: ignore[arg-type]  # a union is no type to mypy


@pytest.fixture
async def link(tmp_path: Path) -> AsyncIterator[Link]:
    """A link that listens."""
    with (tmp_path / "log").open("wb") as stream:
        made = Link(tmp_path, SystemClock(), Log(Sink(Logs(), stream.fileno(), terminal=False)))
        yield made
        made.close()


@pytest.fixture
def connect(link: Link) -> Iterator[Callable[[bytes], zmq.Socket[bytes]]]:
    """Connect to the link as the process that has this routing id."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made: list[zmq.Socket[bytes]] = []

    def connect(routing_id: bytes) -> zmq.Socket[bytes]:
        socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.ROUTING_ID, routing_id)
        socket.connect(link.endpoint)
        made.append(socket)
        return socket

    yield connect
    for socket in made:
        socket.close(linger=0)
    context.term()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until ``condition`` holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  the link tells nobody
            await asyncio.sleep(0)


async def test_a_peer_that_is_forgotten_is_heard_no_more(
    link: Link, connect: Callable[[bytes], zmq.Socket[bytes]]
) -> None:
    """Frames of a generation that is over are dropped and counted, and do not reach its successor."""
    heard: list[object] = []
    peer = link.expect(CODEC, heard.append)
    socket = connect(peer.routing_id)
    socket.send(CODEC.encode(Fault("while it counts")))
    await until(lambda: bool(heard))
    peer.forget()
    socket.send(CODEC.encode(Fault("too late")))
    await until(lambda: link.dropped > 0 or len(heard) > 1)
    assert (heard, link.dropped) == ([Fault("while it counts")], 1)


async def test_a_stranger_is_dropped(link: Link, connect: Callable[[bytes], zmq.Socket[bytes]]) -> None:
    """A peer without a known routing id is ignored, whatever it sends."""
    heard: list[object] = []
    peer = link.expect(CODEC, heard.append)
    connect(b"p" + bytes(16)).send(CODEC.encode(Fault("let me in")))
    await until(lambda: link.dropped == 1)
    connect(peer.routing_id).send(CODEC.encode(Fault("a process of ours")))
    await until(lambda: bool(heard))
    assert heard == [Fault("a process of ours")]


async def test_bytes_that_are_no_text_end_nothing(link: Link, connect: Callable[[bytes], zmq.Socket[bytes]]) -> None:
    """A frame with invalid UTF-8 is dropped like any other that is no message; it used to end the whole daemon."""
    heard: list[object] = []
    peer = link.expect(CODEC, heard.append)
    socket = connect(peer.routing_id)
    socket.send(b"\x82\xa4type\xa5fault\xa6reason\xa1\xff")
    socket.send(CODEC.encode(Fault("afterwards")))
    await until(lambda: bool(heard))
    assert (heard, link.dropped) == ([Fault("afterwards")], 1)
