"""A persona's process as conversations and channels see it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from proto.gateways import GatewayState


class StartFailed(RuntimeError):
    """The persona could not be started; the text says why."""


class Worker(Protocol):
    """The process that serves a persona now. ``gateways`` are the states that it reported last."""

    gateways: list[GatewayState]

    def send(self, message: msgspec.Struct) -> None:
        """Queue one message to it. Never raises: a process that takes no messages will be found dead or hung."""
