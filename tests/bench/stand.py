"""The stand: programs under test in separate processes, which end with the block that started them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import zmq

from tests.bench.client import Connection
from tests.daemon_process import ROOT, DaemonProcess, free_port, wait_for
from tests.patience import PATIENCE

QUESTION: Final = "What is your name?"
"""The embedded mind answers this by code, at once."""

POLL: Final = 0.002


@contextmanager
def fresh_daemon(settings: Mapping[str, str] | None = None) -> Iterator[DaemonProcess]:
    """Yield a daemon with its own state, not started yet."""
    with tempfile.TemporaryDirectory(prefix="personad-bench-") as folder:
        daemon = DaemonProcess(Path(folder) / "state", settings)
        try:
            yield daemon
        finally:
            daemon.close()


@contextmanager
def running_daemon(settings: Mapping[str, str] | None = None) -> Iterator[DaemonProcess]:
    """Yield a daemon whose zygote is warm."""
    with fresh_daemon(settings) as daemon:
        yield daemon.start().ready()


def create(daemon: DaemonProcess, count: int, **organs: str) -> list[str]:
    """Create personas; with the embedded mind unless organs are given."""
    return [daemon.create(f"Persona {number}", **organs) for number in range(1, count + 1)]


def reboot(daemon: DaemonProcess) -> None:
    """Start the daemon again, so that its zygote knows from the first what the personas need."""
    daemon.stop()
    daemon.start().ready()


def pids(daemon: DaemonProcess) -> dict[str, int]:
    """Return the process of each running persona, by her id."""
    personas = daemon.http.get("/api/status").json()["personas"]
    return {persona["id"]: persona["pid"] for persona in personas if persona["pid"]}


def wait_until_answered(daemon: DaemonProcess) -> None:
    """Wait until no message waits for any persona, so that the next measurement has the machine to itself."""
    wait_for(
        lambda: not any(persona["inbox"] for persona in daemon.http.get("/api/status").json()["personas"]),
        "all messages to be answered",
    )


@contextmanager
def program(module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``python -m module`` with pipes to its standard input and output."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def server(module: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a server that takes its port as first argument; yield it and its port as soon as it listens."""
    port = free_port()
    with program(module, str(port), *arguments) as process:
        wait_for_port(port)
        yield process, port


def wait_for_port(port: int) -> None:
    """Wait until a server listens on the port."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            Connection(port).__exit__()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, f"no server listens on port {port}"
            time.sleep(POLL)
        else:
            return


class Greetings:
    """The address where processes say hello over ZeroMQ."""

    def __init__(self, folder: str) -> None:
        self.endpoint = f"ipc://{folder}/greetings"
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.bind(self.endpoint)

    def wait(self) -> tuple[bytes, int]:
        """Return the routing id and pid of the next one."""
        assert self._socket.poll(int(PATIENCE * 1000)), "no greeting came"
        routing_id, pid = self._socket.recv_multipart()
        return routing_id, int(pid)

    def dismiss(self, routing_id: bytes) -> None:
        """Tell a process that said hello to end."""
        self._socket.send_multipart([routing_id, b"bye"])

    def close(self) -> None:
        """Stop listening."""
        self._socket.close(linger=1000)
        self._context.term()


@contextmanager
def greetings() -> Iterator[Greetings]:
    """Listen for hellos."""
    with tempfile.TemporaryDirectory(prefix="personad-bench-") as folder:
        listening = Greetings(folder)
        try:
            yield listening
        finally:
            listening.close()
