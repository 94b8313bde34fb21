"""Whose token is this? One question to the provider, for a channel that is about to be added."""

from __future__ import annotations

from proto.gateways import Identified, Identify
from worker.gateways import provider_of, url_of


async def identify(question: Identify) -> Identified:
    """Ask the provider, for at most 10 s; a reason says why the token is of no use and what to do."""
    provider = provider_of(question.kind, question.credentials)
    url = url_of(provider, question.urls)
    match provider:
        case "telegram":
            import worker.gateways.telegram.identity as telegram

            return await telegram.identify(question.token, url)
        case "discord":
            import worker.gateways.discord.identity as discord

            return await discord.identify(question.token, url)
        case "slack":
            import worker.gateways.slack.identity as slack

            return await slack.identify(question.token, url, question.credentials)
        case "twilio":
            import worker.gateways.twilio.identity as twilio

            return await twilio.identify(question.kind, question.phone, question.credentials, url)
        case "whatsapp":
            import worker.gateways.whatsapp.identity as meta

            return await meta.identify(question.phone, question.credentials, url)
