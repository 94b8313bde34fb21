"""What a process gets for its minds: the libraries it needs, its limits, and the providers' addresses."""

from __future__ import annotations

from typing import Final

from daemon.personas.channel_records import GATEWAYS
from daemon.settings.settings import Settings
from proto.messages import MindLimits
from proto.records import EMBEDDED, ORGANS, Organ, Persona

LOCAL: Final = "local"
"""The kind of a mind that names no provider: a local Ollama."""


KINDS: Final = frozenset({LOCAL, EMBEDDED, "openai", "anthropic", "xai", "gemini"})


def kinds_of(organ: Organ) -> frozenset[str]:
    """The libraries that this organ needs, by the zygote's names; none for an unknown provider."""
    return KINDS & {organ.provider or LOCAL}


def kinds_for(persona: Persona) -> frozenset[str]:
    """The libraries that her process needs for her organs and gateways."""
    gateways = frozenset(channel.type for channel in persona.channels or [] if channel.type in GATEWAYS)
    organs = [persona.thinking, *filter(None, (getattr(persona, name) for name in ORGANS))]
    return gateways.union(*map(kinds_of, organs))


def mind_limits(settings: Settings) -> MindLimits:
    """The limits of every mind."""
    mind = settings.mind
    return MindLimits(mind.first_token_timeout, mind.total_timeout, mind.retries, mind.context)


def provider_urls(settings: Settings) -> dict[str, str]:
    """Base URL by provider, for organs that name none; for the embedded mind, the path of the operator's model file."""
    providers = settings.providers
    return {
        "openai": providers.openai_url,
        "anthropic": providers.anthropic_url,
        "xai": providers.xai_url,
        "gemini": providers.gemini_url,
        "telegram": providers.telegram_url,
        "discord": providers.discord_url,
        "slack": providers.slack_url,
        "twilio": providers.twilio_url,
        "whatsapp": providers.whatsapp_url,
        LOCAL: providers.local_url,
        EMBEDDED: settings.organs.mind_model,
    }
