"""A real organ host in a process of its own, spoken to by the daemon's protocol."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec
import psutil
import zmq

from proto.birth import Birth
from proto.framing import Codec
from proto.host import Answered, Equip, FromHost, ToHost
from proto.messages import Heartbeat, Hello, Stop
from proto.walls import Walls
from tests.daemon_process import ROOT
from tests.measured import python_path
from tests.patience import PATIENCE

HEARTBEAT: Final = 0.2

_codec: Codec[FromHost] = Codec(FromHost)  # type: ignore[arg-type]  # mypy takes no union where a type is asked for


class OrganHostProcess:
    """The daemon's side of the link, and the host behind it; ``home`` is its home, in which nothing should appear.

    It may work in ``home`` and in ``places``.
    """

    def __init__(self, home: Path, *places: Path, model: str = "", threads: int = 0) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="personad-test-", dir="/tmp")
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        endpoint = f"ipc://{self._folder.name}/link.sock"
        self._socket.bind(endpoint)
        self._routing_id = secrets.token_bytes(16)
        death, self._lifecycle = os.pipe()
        walls = Walls(
            write=[str(home), *map(str, places)], read=[model] if model else [], scratch=f"{self._folder.name}/organs"
        )
        birth = Birth(1, "organ_host", "organ-host", endpoint, self._routing_id, HEARTBEAT, walls)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "worker", str(death), str(os.getpid())],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": python_path()},
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[death],
        )
        os.close(death)
        assert self._process.stdin
        self._process.stdin.write(msgspec.msgpack.encode(birth))
        self._process.stdin.close()
        assert isinstance(self.receive(), Hello)
        self.send(Equip(model, threads))

    @property
    def process(self) -> psutil.Process:
        """The host itself."""
        return psutil.Process(self._process.pid)

    def send(self, message: ToHost) -> None:
        """Say something to it."""
        self._socket.send_multipart([self._routing_id, _codec.encode(message)])

    def receive(self, timeout: float = PATIENCE) -> FromHost | None:
        """The next message that is no heartbeat, or None after ``timeout`` seconds without one."""
        deadline = time.monotonic() + timeout
        while self._socket.poll(int(max(0.0, deadline - time.monotonic()) * 1000)):
            _, frame = self._socket.recv_multipart()
            message = _codec.decode(frame)
            if not isinstance(message, Heartbeat):
                return message
        return None

    def ask(self, message: ToHost, timeout: float = PATIENCE) -> Answered:
        """Ask, and return the answer."""
        self.send(message)
        answer = self.receive(timeout)
        assert isinstance(answer, Answered), answer
        return answer

    def stop(self) -> int:
        """Ask it to leave, and return its exit code."""
        self.send(Stop())
        return self._process.wait(PATIENCE)

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._socket.close(linger=0)
        self._context.term()
        os.close(self._lifecycle)
        self._folder.cleanup()
