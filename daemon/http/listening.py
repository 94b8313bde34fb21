"""Listening sockets of our own, for the API and for webhooks."""

from __future__ import annotations

import socket
from typing import Final

BACKLOG: Final = 1024


class PortInUse(RuntimeError):
    """The listener's address cannot be had."""


def listen(host: str, port: int) -> socket.socket:
    """Return a non-blocking socket that listens on the first address that ``host`` resolves to. Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    listening.settimeout(0)
    return listening
