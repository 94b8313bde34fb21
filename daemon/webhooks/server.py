"""The listener for webhooks: a second server in the daemon's process, with its own limits."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import Config

from daemon.http.listening import PortInUse, listen
from daemon.http.protocols import HttpProtocol
from daemon.runtime.tasks import Tasks
from daemon.settings.sections import Hooks as WebhookSettings

CONNECTIONS: Final = 200
"""Connections at once. Further ones get 503, and providers retry."""

KEEP_ALIVE: Final = 10
DRAIN: Final = 2
"""Seconds that open requests get when the daemon stops. Those not kept by then are retried by the provider."""


class WebhookProtocol(HttpProtocol):
    """One connection from a provider, which must send a short head soon."""

    max_head = 16_384
    head_timeout = 10.0
    stall_timeout = 10.0


class WebhookServer(uvicorn.Server):
    """Uvicorn's server, without signal handlers: the daemon has its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listener(settings: WebhookSettings) -> socket.socket | None:
    """Return the listening socket, or None when no webhooks are configured. Raises PortInUse."""
    if not settings.public_url or not settings.port:
        return None
    host, port = settings.host, settings.port
    try:
        return listen(host, port)
    except OSError as error:
        raise PortInUse(
            f"{host}:{port} cannot be used for webhooks: {error.strerror}. Stop the program that listens there "
            "(ss -ltnp), set another hooks.port (PERSONAD_HOOKS_PORT), or set it to 0 for no webhooks."
        ) from error


class WebhookListener:
    """Serves the application on the socket until ``close``."""

    def __init__(self, app: ASGIApp, listening: socket.socket, tasks: Tasks) -> None:
        self._server = WebhookServer(
            Config(
                app,
                lifespan="off",
                http=WebhookProtocol,
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=DRAIN,
            )
        )
        self._serving = tasks.start(self._server.serve([listening]))

    async def close(self) -> None:
        """Accept no more requests and answer the open ones."""
        self._server.should_exit = True
        await asyncio.wait([self._serving])
