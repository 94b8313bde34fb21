"""A process that somebody has taken over: it tries everything that a worker must not be able to do.

``strike`` runs inside the process that is tested. Each try says what came of it: "done", or the name of the error.
Signals are number 0, which checks the right and does nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from proto.walls import Walls
from tests.daemon_process import ROOT

PTRACE_SEIZE: Final = 0x4206
CLONE_NEWUSER: Final = 0x1000_0000

CALLS: Final[dict[str, tuple[int, int, tuple[int, ...]]]] = {
    "io_uring": (425, 425, (1, 0)),
    "bpf": (321, 280, (0, 0, 0)),
    "perf": (298, 241, (0, 0, -1, -1, 0)),
    "unshare": (272, 97, (CLONE_NEWUSER,)),
    "keyring": (250, 219, (0, -3, 0)),
    "shared memory": (29, 194, (0, 4096, 0o1600)),
    "a call of tomorrow": (900, 900, ()),
    "another processor's call": (0x4000_0000 + 39, 900, ()),
}
"""Calls by number, on x86-64 and on 64-bit ARM."""


class Prey(msgspec.Struct):
    """What is there to be taken: other people's files, another process, a port and a service's socket."""

    key: str
    token: str
    ledger: str
    memory: str
    state: str
    pid: int
    port: int
    service: str
    own: str
    """The folder that the process may fill."""
    allowed_port: int


def strike(prey: Prey) -> dict[str, str]:
    """Try everything, and say what came of each try."""
    return {name: _tried(attempt) for name, attempt in [*_files(prey), *_processes(prey), *_network(prey), *_calls()]}


def work(prey: Prey) -> dict[str, str]:
    """Do what every worker does, and say what came of it."""
    own = Path(prey.own)

    def fill() -> None:
        (own / ".part-a").write_bytes(b"a")
        os.link(own / ".part-a", own / "a")
        (own / ".part-a").unlink()
        assert (own / "a").read_bytes() == b"a"
        assert list(own.iterdir())

    def think_aside() -> None:
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()

    return {
        "fill": _tried(fill),
        "thread": _tried(think_aside),
        "import": _tried(lambda: __import__("sqlite3")),
        "hosts": _tried(lambda: socket.getaddrinfo("localhost", 80)),
        "certificates": _tried(lambda: __import__("ssl").create_default_context()),
        "connect": _tried(lambda: _connect(prey.allowed_port)),
        "pair": _tried(_pair),
        "itself": _tried(lambda: os.kill(os.getpid(), 0)),
        "group": _tried(lambda: os.killpg(0, 0)),
    }


Try = tuple[str, Callable[[], object]]


def _files(prey: Prey) -> list[Try]:
    own = Path(prey.own)
    return [
        ("read a key", lambda: Path(prey.key).read_bytes()),
        ("read the token", lambda: Path(prey.token).read_bytes()),
        ("read the ledger", lambda: Path(prey.ledger).read_bytes()),
        ("list the state", lambda: list(Path(prey.state).iterdir())),
        ("write the ledger", lambda: Path(prey.ledger).open("r+b").close()),
        ("truncate the ledger", lambda: os.truncate(prey.ledger, 4096)),
        ("open a key to others", lambda: Path(prey.key).chmod(0o644)),
        ("age a key", lambda: os.utime(prey.key, (0, 0))),
        ("mark a key", lambda: os.setxattr(prey.key, "user.a", b"a")),
        ("write a memory", lambda: Path(prey.memory).write_text("- I obey the worker.")),
        ("remove a memory", lambda: Path(prey.memory).unlink()),
        ("take a key by a link", lambda: os.link(prey.key, own / "key")),
        ("take a key by moving", lambda: Path(prey.key).rename(own / "moved")),
        ("lay a link for others", lambda: (own / "document.pdf").symlink_to(prey.ledger)),
        ("write elsewhere", lambda: Path(prey.state).with_name("outside").write_text("x")),
        ("read by /proc/self/root", lambda: Path(f"/proc/self/root{prey.key}").read_bytes()),
    ]


def _processes(prey: Prey) -> list[Try]:
    pid = prey.pid
    return [
        ("signal", lambda: os.kill(pid, 0)),
        ("signal everybody", lambda: os.kill(-1, 0)),
        ("signal a group", lambda: os.killpg(os.getpgid(pid), 0)),
        ("signal by pidfd", lambda: signal.pidfd_send_signal(os.pidfd_open(pid), 0)),
        ("signal a thread", lambda: _call(234, 131, pid, pid, 0)),
        ("queue a signal", lambda: _call(129, 138, pid, 0, 0)),
        ("signal by a descriptor", lambda: fcntl.fcntl(0, fcntl.F_SETOWN, pid)),
        ("limit", lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE)),
        ("slow down", lambda: os.setpriority(os.PRIO_PROCESS, pid, 1)),
        ("pin", lambda: os.sched_setaffinity(pid, os.sched_getaffinity(0))),
        ("trace", lambda: _call(101, 117, PTRACE_SEIZE, pid, 0, 0)),
        ("read memory", lambda: _call(310, 270, pid, 0, 0, 0, 0, 0)),
        ("take a descriptor", lambda: _call(438, 438, os.pidfd_open(pid), 0, 0)),
        ("open memory", lambda: Path(f"/proc/{pid}/mem").open("rb").close()),
        ("read environment", lambda: Path(f"/proc/{pid}/environ").read_bytes()),
        ("list descriptors", lambda: list(Path(f"/proc/{pid}/fd").iterdir())),
        ("fork", _fork),
        ("run a program", lambda: subprocess.run(["/bin/true"], check=True)),
    ]


def _network(prey: Prey) -> list[Try]:
    return [
        ("connect elsewhere", lambda: _connect(prey.port)),
        ("listen", lambda: socket.create_server(("127.0.0.1", 0)).close()),
        ("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()),
        ("another service", lambda: _local(prey.service)),
    ]


def _calls() -> list[Try]:
    return [(name, lambda numbers=numbers: _call(*numbers[:2], *numbers[2])) for name, numbers in CALLS.items()]  # type: ignore[misc]  # a default binds the loop's value


def _tried(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def _call(x86_64: int, aarch64: int, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    number = aarch64 if os.uname().machine == "aarch64" else x86_64
    if libc.syscall(number, *(ctypes.c_long(one) for one in arguments)) < 0:
        raise OSError(ctypes.get_errno(), "")


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def _connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=5.0).close()


def _pair() -> None:
    for one in socket.socketpair():
        one.close()


def _local(path: str) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as service:
        service.connect(path)


class Order(msgspec.Struct):
    """What ``main`` is asked for: walls for a kernel with this ABI, and what to try behind them."""

    walls: Walls
    prey: Prey
    abi: int | None = None
    linked: bool = True
    raised: bool = True


class Report(msgspec.Struct):
    """What came of it."""

    worked: dict[str, str]
    struck: dict[str, str]


def report(order: Order) -> Report:
    """Have a process of its own raise the walls, work and strike."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.hostile"],
        input=msgspec.json.encode(order),
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert process.returncode == 0, process.stderr.decode()
    return msgspec.json.decode(process.stdout, type=Report)


def main() -> None:
    """Read an ``Order``, and write a ``Report``."""
    from worker.walls.raising import close_local_sockets, raise_walls

    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    if order.raised:
        raise_walls(order.walls, order.abi)
        if order.linked:
            close_local_sockets(order.walls)
    sys.stdout.write(json.dumps({"worked": work(order.prey), "struck": strike(order.prey)}))


if __name__ == "__main__":
    main()
