"""The warm zygote: it has already imported what workers need, and forks them on request.

The standard library's forkserver does not fit: it re-imports the parent's main module in each child, keeps the
children's exit codes to itself, and supports neither process groups nor pidfds. Here each birth is a double fork.
The middle process hands the daemon the pid and a pidfd and exits; the daemon, a subreaper, adopts the worker and
reaps it like its own children. So the death of a zygote kills no worker and loses no exit code.

Run as ``python -m worker.process.zygote CONTROL DEATH DAEMON_PID KINDS``: two descriptors, the daemon's pid, and the
comma-separated kinds of minds and gateways in use, whose libraries are preloaded.
"""

from __future__ import annotations

import array
import gc
import importlib
import os
import platform
import signal
import socket
import sys
import threading
from typing import Final

import msgspec

from proto.birth import MAX_BIRTH, Birth, Born, Stillborn, Warm
from proto.records import EMBEDDED
from worker.gateways import PRELOAD as GATEWAY_PRELOAD
from worker.gateways import REHEARSALS
from worker.organs.choice import PRELOAD
from worker.process.child_setup import die_with, set_up_child
from worker.process.main import run
from worker.walls.raising import prepare

REHEARSAL: Final = "worker.organs.rehearsal"
"""Imported only when needed, because it brings an HTTP library that the embedded mind does not use."""

_decoder = msgspec.msgpack.Decoder(Birth)


def main(arguments: list[str]) -> None:
    """Preload, report, and fork until the daemon closes the control socket."""
    control = socket.socket(fileno=int(arguments[0]))
    death_pipe, daemon_pid = int(arguments[1]), int(arguments[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A zygote that is stopped, or hangs while preloading, does not notice that its control socket was closed.
    die_with(daemon_pid, death_pipe)
    # The SDKs ask for it at their first call. Python runs a program to find it and caches the result per process.
    platform.processor()
    failed = preload([kind for kind in arguments[3].split(",") if kind])
    if threading.active_count() != 1:
        failed["threads"] = "a preloaded module started a thread, which a fork would lose"
    lacking = prepare()
    gc.collect()
    gc.freeze()
    control.send(msgspec.msgpack.encode(Warm(failed, lacking)))
    while request := receive(control):
        birth, log_pipe = request
        try:
            fork_worker(control, birth, log_pipe, death_pipe, daemon_pid)
        except OSError as error:
            control.send(msgspec.msgpack.encode(Stillborn(birth.request, f"fork failed: {error}")))
        os.close(log_pipe)


def preload(kinds: list[str]) -> dict[str, str]:
    """Import and rehearse what minds and gateways of these kinds need.

    Return the modules that failed, with the error of each: a worker that needs one will import it itself.
    """
    failed: dict[str, str] = {}
    for kind in kinds:
        module = kind
        try:
            for module in PRELOAD.get(kind) or GATEWAY_PRELOAD.get(kind, ()):
                importlib.import_module(module)
            if rehearsal := REHEARSALS.get(kind):
                importlib.import_module(rehearsal).rehearse()
            elif kind in PRELOAD and kind != EMBEDDED:
                importlib.import_module(REHEARSAL).rehearse(kind)
        except Exception as error:  # noqa: BLE001 - no error that a module raises on import may end the zygote
            failed[module] = f"{type(error).__name__}: {error}"
    return failed


def receive(control: socket.socket) -> tuple[Birth, int] | None:
    """Return the next request and its log pipe, or None when the daemon is gone."""
    data, ancillary, _, _ = control.recvmsg(MAX_BIRTH, socket.CMSG_SPACE(4))
    if not data:
        return None
    pipes = array.array("i")
    for _, _, payload in ancillary:
        pipes.frombytes(payload[: len(payload) - len(payload) % pipes.itemsize])
    return _decoder.decode(data), pipes[0]


def fork_worker(control: socket.socket, birth: Birth, log_pipe: int, death_pipe: int, daemon_pid: int) -> None:
    """Fork a worker that does not stay a child of the zygote, and that ends if the daemon cannot know of it."""
    middle = os.fork()
    if middle:
        _, status = os.waitpid(middle, 0)
        if os.WIFSIGNALED(status):
            reason = f"the fork was killed by {signal.Signals(os.WTERMSIG(status)).name}"
            control.send(msgspec.msgpack.encode(Stillborn(birth.request, reason)))
        return
    try:
        announced, tell = os.pipe()
        child = os.fork()
        if child:
            announce(control, birth, child)
            os.write(tell, b"1")
            os._exit(0)
    except OSError as error:
        control.send(msgspec.msgpack.encode(Stillborn(birth.request, f"fork failed: {error}")))
        os._exit(1)
    os.close(tell)
    if not os.read(announced, 1):
        os._exit(1)
    os.close(announced)
    run_child(control, birth, log_pipe, death_pipe, daemon_pid)


def announce(control: socket.socket, birth: Birth, child: int) -> None:
    """Send the daemon the child's pid and pidfd. Nobody can have reaped the child yet, so its pid is still valid."""
    pidfd = os.pidfd_open(child)
    born = msgspec.msgpack.encode(Born(birth.request, child))
    control.sendmsg([born], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [pidfd]))])


def run_child(control: socket.socket, birth: Birth, log_pipe: int, death_pipe: int, daemon_pid: int) -> None:
    """Become the worker: close what belongs to the zygote, run, and never return to its loop."""
    control.close()
    code = 1
    try:
        set_up_child(daemon_pid, death_pipe, log_pipe, birth.title)
        code = run(birth, death_pipe)
    except SystemExit as leave:
        print(leave.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001 - the outermost frame of this process: report the error, then exit
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
