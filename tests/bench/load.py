"""Load on one route: several connections, each sending its next request as soon as it has the last one's answer.

Run as ``python -m tests.bench.load PORT CONNECTIONS SECONDS MOST`` with the request on standard input. It ends after
SECONDS or MOST answers and prints the outcome as JSON. It is a process with prepared bytes and no HTTP library,
so that the client is never the bottleneck.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import Final, cast

import msgspec
import uvloop

from tests.bench.client import answer_end
from tests.bench.figures import percentile
from tests.daemon_process import ROOT
from tests.patience import PATIENCE

MOST: Final = 60_000
"""The number of answers after which any run ends."""

ANSWER_TIMEOUT: Final = 10.0


class Outcome(msgspec.Struct):
    """``rate`` is in answers per second, latencies are in seconds; ``refused`` counts all answers but 200."""

    answers: int
    refused: int
    rate: float
    p50: float
    p99: float


def load(port: int, request: bytes, seconds: float, connections: int = 16, most: int = MOST) -> Outcome:
    """Run the load in a separate process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load", str(port), str(connections), str(seconds), str(most)],
        input=request,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        timeout=seconds + PATIENCE,
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=Outcome)


class _Run:
    """The state that the connections share."""

    def __init__(self, request: bytes, seconds: float, most: int) -> None:
        self.request = request
        self.latencies: list[float] = []
        self.refused = 0
        self.most = most
        self.until = time.perf_counter() + seconds
        self.over = asyncio.get_running_loop().create_future()

    def take(self, answer: bytes, sent: float) -> bool:
        """Count an answer; return whether to continue."""
        now = time.perf_counter()
        self.latencies.append(now - sent)
        if not answer.startswith(b"HTTP/1.1 200"):
            self.refused += 1
        if now < self.until and len(self.latencies) < self.most:
            return True
        if not self.over.done():
            self.over.set_result(None)
        return False


class _Client(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self._run = run
        self._data = b""
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._data += data
        if answer_end(self._data):
            answer, self._data = self._data, b""
            if self._run.take(answer, self._sent):
                self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._run.over.done():
            self._run.over.set_exception(exc or ConnectionError("the server closed a connection"))

    def _send(self) -> None:
        assert self._transport
        self._sent = time.perf_counter()
        self._transport.write(self._run.request)


async def _load(port: int, connections: int, seconds: float, most: int, request: bytes) -> Outcome:
    run = _Run(request, seconds, most)
    loop = asyncio.get_running_loop()
    begun = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: _Client(run), "127.0.0.1", port)
    await asyncio.wait_for(run.over, seconds + ANSWER_TIMEOUT)
    elapsed = time.perf_counter() - begun
    taken = run.latencies
    return Outcome(len(taken), run.refused, len(taken) / elapsed, percentile(taken, 50), percentile(taken, 99))


if __name__ == "__main__":
    _port, _connections, _seconds, _most = sys.argv[1:]
    _outcome = uvloop.run(_load(int(_port), int(_connections), float(_seconds), int(_most), sys.stdin.buffer.read()))
    print(msgspec.json.encode(_outcome).decode())
