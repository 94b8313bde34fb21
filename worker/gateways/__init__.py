"""Gateways: one folder per provider on top of the kernel in ``common``.

A provider's folder is imported only when a persona has such a channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from proto.gateways import Gateway as Channel
from proto.gateways import GatewayType
from proto.secrets import Secret
from worker.base.log import WorkerLog
from worker.gateways.common.link import GatewayLink

if TYPE_CHECKING:
    # The zygote imports this module for every process, so it must stay light at run time.
    from worker.gateways.common.gateway import Gateway

    AnyGateway: TypeAlias = Gateway[Any, Any, Any]
    """Any: each provider has an account, sender and timing of its own type."""

Provider = Literal["telegram", "discord", "slack", "twilio", "whatsapp"]
"""Whose API a channel uses; ``whatsapp`` is Meta's Cloud API."""

URLS: Final[Mapping[Provider, str]] = {
    "telegram": "https://api.telegram.org",
    "discord": "https://discord.com/api/v10",
    "slack": "https://slack.com/api/",
    "twilio": "https://api.twilio.com",
    "whatsapp": "https://graph.facebook.com",
}

PRELOAD: Final[Mapping[str, tuple[str, ...]]] = {
    "telegram": ("worker.gateways.telegram.gateway",),
    "discord": ("worker.gateways.discord.gateway",),
    "slack": ("worker.gateways.slack.gateway",),
    "sms": ("worker.gateways.twilio.gateway",),
    "whatsapp": ("worker.gateways.twilio.gateway", "worker.gateways.whatsapp.gateway"),
}
"""Modules that a gateway of this type needs. The zygote imports them before it forks a worker."""

REHEARSALS: Final[Mapping[str, str]] = {"telegram": "worker.gateways.telegram.rehearsal"}
"""Modules whose ``rehearse`` runs once before the fork, so that no worker has to warm up at its first message."""


def provider_of(kind: GatewayType, credentials: Mapping[str, Secret]) -> Provider:
    """Return whose API a channel of this type uses; for WhatsApp this depends on its credentials."""
    match kind:
        case "sms":
            return "twilio"
        case "whatsapp":
            return "whatsapp" if "phone_number_id" in credentials else "twilio"
        case _:
            return kind


def url_of(provider: Provider, urls: Mapping[str, str]) -> str:
    """Return the base URL that the operator set for a provider, else the provider's own."""
    return urls.get(provider) or URLS[provider]


def open_gateway(
    channel: Channel, urls: Mapping[str, str], media: Path, link: GatewayLink, log: WorkerLog
) -> AnyGateway:
    """Create the gateway of a channel; it sends nothing before ``run``.

    ``urls`` maps a provider to the operator's base URL. ``media`` is the folder for fetched files.
    """
    provider = provider_of(channel.type, channel.credentials)
    bound = log.bind(channel=channel.channel, provider=channel.type)
    return gateway_type(provider)(channel, url_of(provider, urls), media, link, bound)


def gateway_type(provider: Provider) -> type[AnyGateway]:
    """Return the provider's gateway class. Its library is imported here, not earlier."""
    match provider:
        case "telegram":
            from worker.gateways.telegram.gateway import TelegramGateway

            return TelegramGateway
        case "discord":
            from worker.gateways.discord.gateway import DiscordGateway

            return DiscordGateway
        case "slack":
            from worker.gateways.slack.gateway import SlackGateway

            return SlackGateway
        case "twilio":
            from worker.gateways.twilio.gateway import TwilioGateway

            return TwilioGateway
        case "whatsapp":
            from worker.gateways.whatsapp.gateway import MetaGateway

            return MetaGateway
