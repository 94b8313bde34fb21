"""A feeder as the daemon runs it: a real process on a real link, and the daemon's side of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec
import zmq

from proto.birth import Birth
from proto.costs import Reserve, Reserved
from proto.feeds import Digested, Feed, FromFeeder, Offered, Source, Wanted
from proto.framing import Codec
from proto.messages import Hello, Memory, MindLimits, Stop
from proto.records import Organ
from proto.walls import Walls
from tests.patience import PATIENCE

T = TypeVar("T")

BEAT: Final = 0.05

FIXTURES: Final = Path(__file__).parents[2] / "fixtures"

_ROUTING_ID: Final = b"\x01" * 16
_CODEC: Final[Codec[FromFeeder]] = Codec(FromFeeder)  # type: ignore[arg-type]  # a union is no type to mypy


class FeederProcess:
    """Born by exec, as when there is no zygote; use it as a context. It may connect to ``ports``."""

    def __init__(self, folder: Path, *ports: int) -> None:
        self.messages: list[FromFeeder] = []
        self._folder = folder
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        endpoint = f"ipc://{folder}/link.sock"
        self._socket.bind(endpoint)
        death_pipe, self._alive = os.pipe()
        walls = Walls(read=[str(folder), str(FIXTURES)], ports=list(ports))
        birth = Birth(1, "feeder", "feeder", endpoint, _ROUTING_ID, BEAT, walls)
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "worker", str(death_pipe), str(os.getpid())],
                stdin=subprocess.PIPE,
                stderr=log,
                pass_fds=[death_pipe],
                cwd=Path(__file__).parents[3],
            )
        os.close(death_pipe)
        assert self._process.stdin
        self._process.stdin.write(msgspec.msgpack.encode(birth))
        self._process.stdin.close()
        self.first(Hello)

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)
        os.close(self._alive)
        self._context.destroy(linger=0)

    def feed(
        self, path: Path, source: Source, thinking: Organ, limits: MindLimits, urls: dict[str, str] | None = None
    ) -> None:
        """Send a feeder's first message."""
        self.send(Feed(str(path), source, "Adam", thinking, limits, urls or {}))

    def send(self, message: msgspec.Struct) -> None:
        self._socket.send_multipart([_ROUTING_ID, _CODEC.encode(message)])

    def first(self, kind: type[T]) -> T:
        """Wait for the next message of this kind; everything before it is in ``messages``."""
        deadline = time.monotonic() + 2 * PATIENCE
        while not isinstance(message := self.next(), kind):
            assert time.monotonic() < deadline, f"no {kind.__name__} came after {self.messages[-3:]} {self.log()}"
        return message

    def next(self) -> FromFeeder:
        """Wait for the next message. A call is granted, as by a daemon without a budget."""
        deadline = time.monotonic() + PATIENCE
        while not self._socket.poll(200):
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < deadline, f"nothing came after {self.messages[-3:]} {self.log()}"
        self.messages.append(message := _CODEC.decode(self._socket.recv_multipart()[-1]))
        if isinstance(message, Reserve) and message.waits:
            self.send(Reserved(message.call))
        return message

    def next_digest(self, memory: Memory) -> Memory:
        """Accept the next offer, and return its digest."""
        offered = self.first(Offered)
        self.send(Wanted(offered.number, memory))
        digested = self.first(Digested)
        assert (digested.number, digested.key) == (offered.number, offered.key)
        return digested.memory

    def stop(self) -> int:
        """Ask it to stop, and return its exit code."""
        self.send(Stop())
        return self._process.wait(PATIENCE)

    def log(self, event: str = "") -> list[dict[str, Any]]:
        """Return its log's events with this name. Any: an event may have any field."""
        lines = (self._folder / "log").read_text().splitlines()
        events: list[dict[str, Any]] = [json.loads(line) for line in lines if line.startswith("{")]
        return [one for one in events if event in ("", one["event"])] if event or events else [{"text": lines}]
