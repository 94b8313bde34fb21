"""Peers that send without end, or not at all, or never read, cost a bounded amount of memory and time."""

from __future__ import annotations

import socket
from contextlib import closing
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.daemon_process import ROOT, DaemonProcess, wait_for
from tests.emulators.openai import OpenAIEmulator
from tests.observed import status
from tests.patience import PATIENCE
from tests.saboteur import at_start

HURRY = """\
import sys

if sys.orig_argv[-2:] == ["daemon", "serve"]:
    sys.path.insert(0, {root!r})
    from daemon.api import sockets
    from daemon.http.protocols import HttpProtocol

    HttpProtocol.head_timeout = 1.0
    sockets.SEND_TIMEOUT = 1.0
"""
"""The daemon waits for slow peers as it always does, only not as long."""


def resident(daemon: DaemonProcess) -> int:
    """The daemon's resident memory in bytes."""
    return int(Path(f"/proc/{daemon.pid}/statm").read_text().split()[1]) * 4096


def open_sockets(daemon: DaemonProcess) -> int:
    """How many sockets the daemon holds."""
    count = 0
    for link in Path(f"/proc/{daemon.pid}/fd").iterdir():
        try:
            count += str(link.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue
    return count


def dial(daemon: DaemonProcess, *lines: str, receives: int = 0) -> socket.socket:
    """Connect and send these lines, each with its line end; ``receives`` bounds the bytes that wait to be read."""
    connection = socket.socket()
    connection.settimeout(PATIENCE)
    if receives:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
    connection.connect(("127.0.0.1", daemon.port))
    connection.sendall("".join(line + "\r\n" for line in lines).encode())
    return connection


def receive(connection: socket.socket) -> tuple[int, bytes]:
    """One answer's status and body."""
    answer = HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.read()


@pytest.mark.frugal
@pytest.mark.parametrize("start", ["GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Endless: ", "GET /"])
def test_endless_head_is_cut(front: DaemonProcess, start: str) -> None:
    """A header or URL without an end is refused with 431 after 64 KiB or so."""
    before = resident(front)
    with socket.create_connection(("127.0.0.1", front.port), timeout=PATIENCE) as connection:
        connection.sendall(start.encode())
        sent = 0
        try:
            while sent < 100_000_000:
                connection.sendall(b"a" * 65_536)
                sent += 65_536
        except OSError:
            pass
    assert sent < 50_000_000
    assert resident(front) - before < 20_000_000


def test_large_head_says_so(front: DaemonProcess) -> None:
    """A head somewhat over the limit gets its 431 in our form."""
    with dial(front, "GET /livez HTTP/1.1", "Host: localhost", *["X-Much: " + "a" * 7000] * 10) as connection:
        status, body = receive(connection)
    assert status == 431
    assert b'{"detail":' in body


def test_large_bodies_are_no_heads(front: DaemonProcess) -> None:
    """Many requests with bodies on one connection are all taken, however they are cut into packets."""
    body = b'{"message":"' + b"x" * 200_000 + b'"}'
    head = f"POST /api/persona/x/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with dial(front) as connection:
        for _ in range(5):
            connection.sendall(head + body)
            assert receive(connection)[0] == 413
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert receive(connection)[0] == 200


def test_half_a_head_times_out(tmp_path: Path) -> None:
    """A head that does not come whole is 408, and a connection without one is closed, however slowly they drip."""
    hook = at_start(tmp_path / "hook", HURRY.format(root=str(ROOT)))
    with closing(DaemonProcess(tmp_path / "state", {"PYTHONPATH": hook})) as daemon:
        daemon.start()
        with dial(daemon) as silent, dial(daemon, "GET /livez HTTP/1.1", "Host: localhost") as half:
            assert half.recv(65_536).startswith(b"HTTP/1.1 408 ")
            assert silent.recv(65_536) == b""


def test_peer_that_never_reads_is_dropped(tmp_path: Path, mind: OpenAIEmulator) -> None:
    """A socket whose peer reads nothing is closed on our side too, and does not hold up the daemon's end."""
    settings = {
        "PERSONAD_MIND_BURST_WINDOW": "0",
        # A stop that waits for the peer would not end while anybody looks.
        "PERSONAD_HTTP_SHUTDOWN_TIMEOUT": "3600",
        "PYTHONPATH": at_start(tmp_path / "hook", HURRY.format(root=str(ROOT))),
    }
    daemon = DaemonProcess(tmp_path / "state", settings)
    try:
        daemon.start_warm()
        eve = daemon.create(
            "Eve", thinking_model="m", thinking_provider="openai", thinking_url=mind.url, thinking_api_key="k"
        )
        handshake = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
        handshake.append("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
        with dial(daemon, f"GET /ws/{eve} HTTP/1.1", "Host: localhost", *handshake, "", receives=4096) as deaf:
            deaf.recv(1000)
            before = open_sockets(daemon)

            def dropped() -> bool:
                if not status(daemon, eve)["inbox"]:
                    daemon.read(eve, "x" * 60_000)
                return open_sockets(daemon) < before

            wait_for(dropped, "the socket to be dropped")
            assert daemon.stop() == 0
    finally:
        daemon.close()
