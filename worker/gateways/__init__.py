"""Gateways: one module per provider behind one small interface, imported only when a persona has such a channel."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Final, Protocol

from proto.gateways import Deliver, Delivered, Gateway, GatewayState, Inbound, PartSent, Say, Undelivered
from worker.log import WorkerLog

TELEGRAM_URL: Final = "https://api.telegram.org"
DISCORD_URL: Final = "https://discord.com/api/v10"

PRELOAD: Final[Mapping[str, tuple[str, ...]]] = {
    "telegram": ("worker.gateways.telegram", "worker.gateways.telegram_identity"),
    "discord": ("worker.gateways.discord",),
}
"""Modules that a gateway of this type needs, for a zygote to import before it forks a worker."""

REHEARSALS: Final[Mapping[str, str]] = {"telegram": "worker.gateways.telegram_rehearsal"}
"""The module whose ``rehearse`` does once, before the fork, what each worker would do at its first message."""


class GatewayLink(Protocol):
    """What a gateway may do; the worker's life gives it."""

    def received(self, channel: str, items: list[Inbound]) -> Awaitable[bool]:
        """Hand messages to the daemon; False or an exception means that they are not committed."""

    def changed(self, state: GatewayState) -> None:
        """Report a change of state at once; heartbeats carry it from then on."""

    def send(self, message: PartSent | Delivered | Undelivered) -> None:
        """Report what became of a delivery."""


class GatewayBase(Protocol):
    """One channel of a persona, connected to its provider."""

    channel: str

    def state(self) -> GatewayState:
        """How it stands now."""

    async def run(self) -> None:
        """Receive and deliver until cancelled.

        Trouble with the provider is waited out or ends in the state ``stopped``; it never raises for it. An exception
        that leaves this is a fault of ours, and the process should end.
        """

    def deliver(self, message: Deliver) -> None:
        """Queue one message of the outbox; never blocks. ``GatewayLink.send`` gets what became of it."""

    def say(self, message: Say) -> None:
        """Queue a text that is sent once, without an answer; never blocks."""

    def bound(self, account: str, chat: str) -> None:
        """The channel was paired with this account: it alone has its files fetched from now on."""

    def typing(self, chat: str) -> None:
        """Show in this chat that she is thinking, if the provider's pace allows it; never blocks."""

    async def close(self) -> None:
        """Leave connections; call it after ``run`` was cancelled."""


def open_gateway(
    gateway: Gateway, urls: Mapping[str, str], media: Path, link: GatewayLink, log: WorkerLog
) -> GatewayBase:
    """Make the gateway of a channel; nothing is sent before ``run``.

    ``urls`` holds the operator's base URL by provider, ``media`` is the folder for fetched files. The provider's
    library is imported here and not before.
    """
    bound = log.bind(channel=gateway.channel, provider=gateway.type)
    match gateway.type:
        case "telegram":
            from worker.gateways.telegram import TelegramGateway

            return TelegramGateway(gateway, urls.get("telegram") or TELEGRAM_URL, media, link, bound)
        case "discord":
            from worker.gateways.discord import DiscordGateway

            return DiscordGateway(gateway, urls.get("discord") or DISCORD_URL, media, link, bound)
        case _:
            raise NotImplementedError(gateway.type)
