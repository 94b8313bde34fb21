"""systemd's protocols, spoken with a real datagram socket and real listening sockets."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.startup.notify import Notifier, listen_fds
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[3]


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """A service manager's socket and the address that it puts into $NOTIFY_SOCKET."""
    name = f"personad-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(PATIENCE)
        if request.param == "path":
            listening.bind(str(tmp_path / "notify"))
            yield str(tmp_path / "notify"), listening
        else:
            listening.bind(f"\0{name}")
            yield f"@{name}", listening


def test_the_manager_hears_of_each_step(manager: tuple[str, socket.socket]) -> None:
    """READY with a status, STATUS on one line, STOPPING."""
    address, listening = manager
    environ = {"NOTIFY_SOCKET": address, "PATH": "/bin"}
    notifier = Notifier(environ)
    notifier.ready("2 of 3 personas running")
    notifier.status("one\nWATCHDOG=1")
    notifier.stopping()
    notifier.close()

    assert listening.recv(1000) == b"READY=1\nSTATUS=2 of 3 personas running"
    assert listening.recv(1000) == b"STATUS=one WATCHDOG=1"
    assert listening.recv(1000) == b"STOPPING=1"
    assert environ == {"PATH": "/bin"}


async def test_the_watchdog_is_fed_from_the_loop_at_half_its_time(manager: tuple[str, socket.socket]) -> None:
    """WATCHDOG_USEC of 100 ms means a message every 50 ms for as long as the loop runs."""
    address, listening = manager
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": str(os.getpid())})
    assert notifier.watchdog_interval == 0.05
    watching = asyncio.create_task(notifier.watch())
    for _ in range(3):
        assert await asyncio.to_thread(listening.recv, 1000) == b"WATCHDOG=1"
    watching.cancel()
    notifier.close()


@pytest.mark.parametrize(
    "environ",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}],
)
async def test_without_a_watchdog_nothing_is_sent(environ: dict[str, str]) -> None:
    """No time, no sense in it, or another process's: watch returns."""
    notifier = Notifier(environ)

    assert notifier.watchdog_interval is None
    await asyncio.wait_for(notifier.watch(), PATIENCE)


@pytest.mark.parametrize("address", ["", "relative", "/absent/socket", "@personad-nobody-listens"])
def test_a_manager_that_is_not_there_is_no_fault(address: str) -> None:
    """Outside systemd, or with its socket gone, the daemon runs the same."""
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.ready("x")
    notifier.stopping()
    notifier.close()


def test_a_manager_that_does_not_read_never_blocks(manager: tuple[str, socket.socket]) -> None:
    """A full queue costs messages."""
    address, _ = manager
    notifier = Notifier({"NOTIFY_SOCKET": address})
    for number in range(10_000):
        notifier.status(f"{number}")
    notifier.close()


MANAGER = """
import fcntl, os, sys
passed = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number in sys.argv[1:3]]
for number, descriptor in enumerate(passed, 3):
    os.dup2(descriptor, number)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[3]])
"""

PROGRAM = """
import json, os, sys
from daemon.startup.notify import listen_fds
environ = dict(os.environ, LISTEN_PID=str(os.getpid()))
sockets = listen_fds(environ)
print(json.dumps({
    "ports": [one.getsockname()[1] for one in sockets],
    "inheritable": [os.get_inheritable(one.fileno()) for one in sockets],
    "blocking": [one.getblocking() for one in sockets],
    "left": [name for name in environ if name.startswith("LISTEN_")],
}))
"""


def test_sockets_that_systemd_passed_are_taken() -> None:
    """Descriptors from 3 on are the listeners, kept from children, and the variables are gone."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        one.listen()
        other.listen()
        started = subprocess.run(
            [sys.executable, "-c", MANAGER, str(one.fileno()), str(other.fileno()), PROGRAM],
            cwd=ROOT,
            env={**os.environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "personad.socket:personad.socket"},
            pass_fds=(one.fileno(), other.fileno()),
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        )
        said = json.loads(started.stdout)
        assert said["ports"] == [one.getsockname()[1], other.getsockname()[1]]
    assert said["inheritable"] == [False, False]
    assert said["blocking"] == [False, False]
    assert said["left"] == []


@pytest.mark.parametrize("environ", [{}, {"LISTEN_FDS": "2", "LISTEN_PID": "1"}, {"LISTEN_FDS": "2"}])
def test_sockets_of_another_process_are_left_alone(environ: dict[str, str]) -> None:
    """Variables that an ancestor left behind do not make descriptors of ours listeners."""
    assert listen_fds(environ) == []
    assert environ == {}
