"""A persona's process, as far as conversations and channels know it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from proto.gateways import GatewayState


class StartFailed(RuntimeError):
    """She did not come up; the text says why."""


class Worker(Protocol):
    """The process that serves a persona now. ``gateways`` are their states as it last told."""

    gateways: list[GatewayState]

    def send(self, message: msgspec.Struct) -> None:
        """Queue one message to it. Never raises: a process that takes none is found dead or hung."""
