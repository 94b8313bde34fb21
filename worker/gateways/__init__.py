"""Gateways: one module per provider behind one small interface, imported only when a persona has such a channel."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias, runtime_checkable

from proto.gateways import (
    Deliver,
    Delivered,
    Gateway,
    GatewayState,
    GatewayType,
    Inbound,
    PartSent,
    Receipt,
    Say,
    Undelivered,
    WebhookRequest,
)
from proto.secrets import Secret
from worker.base.log import WorkerLog

Provider = Literal["telegram", "discord", "slack", "twilio", "whatsapp"]
"""Whose API a channel speaks; WhatsApp's own is Meta's Cloud API."""

URLS: Final[Mapping[Provider, str]] = {
    "telegram": "https://api.telegram.org",
    "discord": "https://discord.com/api/v10",
    "slack": "https://slack.com/api/",
    "twilio": "https://api.twilio.com",
    "whatsapp": "https://graph.facebook.com",
}

PRELOAD: Final[Mapping[str, tuple[str, ...]]] = {
    "telegram": ("worker.gateways.telegram.gateway", "worker.gateways.telegram.identity"),
    "discord": ("worker.gateways.discord.gateway",),
    "slack": ("worker.gateways.slack.gateway",),
    "sms": ("worker.gateways.twilio.gateway",),
    "whatsapp": ("worker.gateways.twilio.gateway", "worker.gateways.whatsapp.gateway"),
}
"""Modules that a gateway of this type needs, for a zygote to import before it forks a worker."""

REHEARSALS: Final[Mapping[str, str]] = {"telegram": "worker.gateways.telegram.rehearsal"}
"""The module whose ``rehearse`` does once, before the fork, what each worker would do at its first message."""


Report: TypeAlias = PartSent | Delivered | Undelivered | Receipt
"""What a gateway says of a message that it was given."""


class GatewayLink(Protocol):
    """What a gateway may do; the worker's life gives it."""

    def received(self, channel: str, items: list[Inbound], webhooks: Sequence[int] = ()) -> Awaitable[bool]:
        """Hand messages to the daemon; False or an exception means that they are not committed.

        ``hooks`` are the webhook requests that are dealt with once they are. There may be no messages in them.
        """

    def changed(self, state: GatewayState) -> None:
        """Report a change of state at once; heartbeats carry it from then on."""

    def send(self, message: Report) -> None:
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


@runtime_checkable
class TakesWebhooks(Protocol):
    """A gateway whose provider calls the daemon."""

    def webhook(self, message: WebhookRequest) -> None:
        """Queue a webhook request, verified and committed; never blocks. ``GatewayLink.received`` names it later."""


def provider_of(kind: GatewayType, credentials: Mapping[str, Secret]) -> Provider:
    """Whose API a channel of this type speaks, which for WhatsApp its credentials tell."""
    match kind:
        case "sms":
            return "twilio"
        case "whatsapp":
            return "whatsapp" if "phone_number_id" in credentials else "twilio"
        case _:
            return kind


def url_of(provider: Provider, urls: Mapping[str, str]) -> str:
    """The operator's base URL of a provider, else the real one."""
    return urls.get(provider) or URLS[provider]


def open_gateway(
    gateway: Gateway, urls: Mapping[str, str], media: Path, link: GatewayLink, log: WorkerLog
) -> GatewayBase:
    """Make the gateway of a channel; nothing is sent before ``run``.

    ``urls`` holds the operator's base URL by provider, ``media`` is the folder for fetched files. The provider's
    library is imported here and not before.
    """
    bound = log.bind(channel=gateway.channel, provider=gateway.type)
    provider = provider_of(gateway.type, gateway.credentials)
    url = url_of(provider, urls)
    match provider:
        case "telegram":
            from worker.gateways.telegram.gateway import TelegramGateway

            return TelegramGateway(gateway, url, media, link, bound)
        case "discord":
            from worker.gateways.discord.gateway import DiscordGateway

            return DiscordGateway(gateway, url, media, link, bound)
        case "slack":
            from worker.gateways.slack.gateway import SlackGateway

            return SlackGateway(gateway, url, media, link, bound)
        case "twilio":
            from worker.gateways.twilio.gateway import TwilioGateway

            return TwilioGateway(gateway, url, media, link, bound)
        case "whatsapp":
            from worker.gateways.whatsapp.gateway import MetaGateway

            return MetaGateway(gateway, url, media, link, bound)
