"""A process that sends more than its budget waits or ends, and the others notice nothing."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
import zmq

from daemon.logging.log import Log, Sink
from daemon.runtime.clock import SystemClock
from daemon.settings.settings import Logs
from daemon.supervision import pipes
from daemon.supervision.budget import FRAMES, Bucket, Budget, Rate
from daemon.supervision.link import RECEIVED_AHEAD, Link
from daemon.supervision.pipes import LogPipe
from proto.framing import Codec
from proto.messages import Conversation, Fault, FromWorker, Typing
from tests.daemon.fakes.clock import JumpingLoop, LoopClock
from tests.patience import PATIENCE

CODEC: Codec[FromWorker] = Codec(FromWorker)  # type: ignore[arg-type]  # a union is no type to mypy


def test_bucket() -> None:
    """It gives a burst, then its rate, and never gathers more than a burst."""
    now = 0.0
    bucket = Bucket(Rate(10, 20), lambda: now)
    assert [bucket.take(10), bucket.take(10), bucket.take(5)] == [0, 0, 0.5]
    now = 1.0
    assert bucket.take(5) == 0
    now = 1000.0
    assert bucket.take(20) == 0
    assert bucket.take(10) == 1


@pytest.mark.parametrize(
    ("budget", "frame"),
    [
        (Budget(Rate(0.001, 20), FRAMES.bytes), CODEC.encode(Typing(Conversation("web", "web")))),
        (Budget(FRAMES.frames, Rate(0.001, 100_000)), CODEC.encode(Fault("x" * 2000)) + b"\0" * 8000),
    ],
    ids=["frames", "bytes"],
)
async def test_greedy_process_is_ended_and_heard_no_more(tmp_path: Path, budget: Budget, frame: bytes) -> None:
    """It is told once, its further frames are dropped unread, and another one is heard as ever."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    heard: list[object] = []
    calm: list[object] = []
    reasons: list[str] = []
    with (tmp_path / "log").open("wb") as stream:
        log = Log(Sink(Logs(), stream.fileno(), terminal=False))
        link = Link(tmp_path, SystemClock(), log)
        greedy = link.expect(CODEC, heard.append, budget, reasons.append)
        other = link.expect(CODEC, calm.append)
        sockets = [context.socket(zmq.DEALER) for _ in range(2)]
        for socket, peer in zip(sockets, (greedy, other), strict=True):
            socket.setsockopt(zmq.ROUTING_ID, peer.routing_id)
            socket.connect(link.endpoint)
        for _ in range(200):
            sockets[0].send(frame)
        sockets[1].send(CODEC.encode(Fault("I am still here")))
        async with asyncio.timeout(PATIENCE):
            while not (calm and link.dropped >= 150):  # noqa: ASYNC110  the link tells nobody
                await asyncio.sleep(0)
        log.flush()
        lines = (tmp_path / "log").read_bytes().count(b"link.frame_refused")
        link.close()
    for socket in sockets:
        socket.close(linger=0)
    context.term()
    assert len(reasons) == 1
    assert len(heard) <= 20
    assert calm == [Fault("I am still here")]
    assert lines <= 1
    assert RECEIVED_AHEAD < 100


def test_log_is_read_as_fast_as_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that writes lines in a loop waits for its pipe; nothing is lost, and it is told once."""
    monkeypatch.setattr(pipes, "LOG_LINES", Rate(10, 20))

    async def test() -> None:
        loop = asyncio.get_running_loop()
        lines: list[tuple[float, bytes]] = []
        held: list[float] = []
        with LogPipe(
            lambda line: lines.append((loop.time(), line)), 100, LoopClock(), lambda: held.append(loop.time())
        ) as pipe:
            end = os.dup(pipe.write_end)
        try:
            for burst in range(4):
                os.write(end, b"".join(b"line %d\n" % number for number in range(burst * 50, burst * 50 + 50)))
                await asyncio.sleep(2.5)
        finally:
            os.close(end)
        await asyncio.sleep(60)
        assert [line for _, line in lines] == [b"line %d" % number for number in range(200)]
        assert [at for at, _ in lines][::50] == pytest.approx([0, 3, 8, 8], abs=5)
        assert lines[-1][0] >= (150 - 20) / 10 - 5
        assert len(held) == 1

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(test())
