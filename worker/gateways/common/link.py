"""What a gateway says to the daemon, and how."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol, TypeAlias

from proto.gateways import Delivered, GatewayState, Inbound, PartSent, Receipt, Undelivered

Report: TypeAlias = PartSent | Delivered | Undelivered | Receipt
"""What a gateway says of a message that it was given."""


class GatewayLink(Protocol):
    """What a gateway may do; the worker's life gives it."""

    def received(self, channel: str, items: list[Inbound], webhooks: Sequence[int] = ()) -> Awaitable[bool]:
        """Hand messages to the daemon; False or an exception means that they are not committed.

        ``webhooks`` are the webhook requests that are dealt with once they are. There may be no messages in them.
        """

    def changed(self, state: GatewayState) -> None:
        """Report a change of state at once; heartbeats carry it from then on."""

    def send(self, message: Report) -> None:
        """Report what became of a delivery."""
