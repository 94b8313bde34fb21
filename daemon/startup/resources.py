"""What a daemon claims before it touches anything: its state directory, its runtime directory, its listener."""

from __future__ import annotations

import fcntl
import os
import resource
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from daemon.http.listening import PortInUse, listen
from daemon.ledger.errors import may_pass
from daemon.settings.settings import Settings
from daemon.startup.notify import listen_fds

LOCK_NAME: Final = "lock"
DESCRIPTORS: Final = 65_536


class Locked(RuntimeError):
    """Another daemon holds the state directory."""


class DirectoryUnusable(RuntimeError):
    """A directory cannot be made or is not ours. ``passes`` when that may mend itself, as a full disk does."""

    def __init__(self, reason: str, *, passes: bool = False) -> None:
        super().__init__(reason)
        self.passes = passes


def private_directory(path: Path) -> None:
    """Make a directory that only we may enter; raises DirectoryUnusable."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_uid != os.geteuid():
            raise DirectoryUnusable(f"{path} belongs to another user: choose another directory, or correct its owner.")
        path.chmod(0o700)
    except OSError as error:
        passes = may_pass(error)
        advice = "It is tried again" if passes else "Choose another directory"
        raise DirectoryUnusable(f"{path} cannot be used: {error.strerror}. {advice}.", passes=passes) from error


def leave(runtime_dir: Path) -> None:
    """Remove the runtime directory, which is empty when nothing of ours runs; a service manager's own one stays."""
    with suppress(OSError):
        runtime_dir.rmdir()


def lock(state_dir: Path) -> int:
    """Hold the state directory by flock until the process ends; raises Locked, DirectoryUnusable."""
    try:
        descriptor = os.open(state_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        text = f"{state_dir} cannot be written: {error.strerror}. Fix that first."
        raise DirectoryUnusable(text, passes=may_pass(error)) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise Locked(
            f"Another personad (process {holder}) holds {state_dir}: stop it, or set another state_dir."
        ) from None
    os.ftruncate(descriptor, 0)
    # The number is for people; on a full disk the lock holds without it.
    with suppress(OSError):
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def listener(settings: Settings) -> socket.socket:
    """The API's listening socket: systemd's when it passes one, else our own; raises PortInUse."""
    passed = listen_fds(os.environ)
    if passed:
        for surplus in passed[1:]:
            surplus.close()
        passed[0].settimeout(0)
        return passed[0]
    host, port = settings.http.host, settings.http.port
    try:
        listening = listen(host, port)
    except OSError as error:
        raise PortInUse(
            f"{host}:{port} cannot be listened on: {error.strerror}. Stop what listens there (ss -ltnp), "
            "or set another http.port (PERSONAD_HTTP_PORT)."
        ) from error
    # Every connection inherits it: a small frame must not wait for the acknowledgement of the one before (tcp(7)).
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def raise_descriptor_limit() -> None:
    """Raise the limit of open files: each persona takes a few descriptors here, and each socket one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
