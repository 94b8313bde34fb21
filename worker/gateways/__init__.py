"""Gateways: one folder per provider over the kernel in ``common``, imported only when a persona has such a channel."""

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
    # At run time this module must stay light: the zygote reads it for every process.
    from worker.gateways.common.gateway import Gateway

    AnyGateway: TypeAlias = Gateway[Any, Any, Any]
    """Any: each provider has its own account, sender and timing."""

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
    "telegram": ("worker.gateways.telegram.gateway",),
    "discord": ("worker.gateways.discord.gateway",),
    "slack": ("worker.gateways.slack.gateway",),
    "sms": ("worker.gateways.twilio.gateway",),
    "whatsapp": ("worker.gateways.twilio.gateway", "worker.gateways.whatsapp.gateway"),
}
"""Modules that a gateway of this type needs, for a zygote to import before it forks a worker."""

REHEARSALS: Final[Mapping[str, str]] = {"telegram": "worker.gateways.telegram.rehearsal"}
"""The module whose ``rehearse`` does once, before the fork, what each worker would do at its first message."""


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
    channel: Channel, urls: Mapping[str, str], media: Path, link: GatewayLink, log: WorkerLog
) -> AnyGateway:
    """Make the gateway of a channel; nothing is sent before ``run``.

    ``urls`` holds the operator's base URL by provider, ``media`` is the folder for fetched files.
    """
    provider = provider_of(channel.type, channel.credentials)
    bound = log.bind(channel=channel.channel, provider=channel.type)
    return gateway_type(provider)(channel, url_of(provider, urls), media, link, bound)


def gateway_type(provider: Provider) -> type[AnyGateway]:
    """The provider's gateway. Its library is imported here and not before."""
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
