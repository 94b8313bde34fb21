"""What the daemon and systemd tell each other: readiness, status, watchdog (sd_notify(3)) and passed sockets.

Outside systemd, where ``$NOTIFY_SOCKET`` and ``$LISTEN_PID`` are missing, all of it does nothing. The variables of
both protocols are removed from the environment that is given: no child of the daemon is the service.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import MutableMapping
from typing import Final

LISTEN_START: Final = 3
"""The first descriptor of socket activation (sd_listen_fds(3))."""


class Notifier:
    """A datagram socket to the service manager; a manager that is gone or slow costs a message, never time."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._socket = _connect(environ.pop("NOTIFY_SOCKET", ""))
        self.watchdog_interval = _watchdog_interval(environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", ""))
        """Seconds between two watchdog messages, half of what systemd asks for; None when it asks for none."""

    def ready(self, status: str) -> None:
        """Say that the API listens and that every persona's state is decided."""
        self._send(f"READY=1\nSTATUS={_one_line(status)}")

    def status(self, text: str) -> None:
        """Set the line that ``systemctl status`` shows."""
        self._send(f"STATUS={_one_line(text)}")

    def stopping(self) -> None:
        """Say that the daemon is on its way out."""
        self._send("STOPPING=1")

    async def watch(self) -> None:
        """Send the watchdog's message from the event loop until cancelled: a loop that hangs sends none."""
        while self.watchdog_interval:
            self._send("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_interval)

    def close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.send(message.encode())
        except OSError:
            # Full or gone: the manager draws its own conclusion from silence, and a daemon that runs goes on running.
            return


def _connect(address: str) -> socket.socket | None:
    """Return a non-blocking socket to a path or, after ``@``, an abstract name; None for anything else."""
    if not address.startswith(("/", "@")):
        return None
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        notify.connect("\0" + address[1:] if address.startswith("@") else address)
    except OSError:
        notify.close()
        return None
    return notify


def _watchdog_interval(asked: str, process: str) -> float | None:
    if not asked.isdecimal() or int(asked) == 0 or (process and process != str(os.getpid())):
        return None
    return int(asked) / 2_000_000


def _one_line(text: str) -> str:
    return " ".join(text.split())


def listen_fds(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """Take the listening sockets that systemd passed to this process, and keep them from its children."""
    count, process = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    environ.pop("LISTEN_FDNAMES", None)
    if process != str(os.getpid()) or not count.isdecimal():
        return []
    sockets = []
    for descriptor in range(LISTEN_START, LISTEN_START + int(count)):
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - the parameter has no name
        passed = socket.socket(fileno=descriptor)
        passed.settimeout(0)
        sockets.append(passed)
    return sockets
