"""What a gateway reports to the daemon, and how."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol, TypeAlias

from proto.gateways import Delivered, GatewayState, Inbound, PartSent, Receipt, Undelivered, Unread

Report: TypeAlias = PartSent | Delivered | Undelivered | Receipt
"""The outcome of a message that the gateway was asked to send."""


class GatewayLink(Protocol):
    """A gateway's way to the daemon; the worker process provides it."""

    def received(
        self, channel: str, items: list[Inbound], webhooks: Sequence[int] = (), unread: Sequence[Unread] = ()
    ) -> Awaitable[bool]:
        """Hand messages to the daemon; False or an exception means that they are not committed.

        ``webhooks`` are the numbers of the webhook requests that are done once these messages are committed. A request
        may contain no message, so ``items`` may be empty. ``unread`` is kept for a version that can read it.
        """

    def changed(self, state: GatewayState) -> None:
        """Report a change of state at once; heartbeats carry it from then on."""

    def send(self, message: Report) -> None:
        """Report the outcome of a delivery."""
