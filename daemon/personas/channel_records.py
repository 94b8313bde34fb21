"""The channels in a persona's record, and how they are known inside this daemon."""

from __future__ import annotations

from typing import Final

from proto.gateways import channel_id
from proto.messages import Conversation
from proto.records import Channel, Persona

PAIRED: Final = ("telegram", "discord")
"""The kinds that the persona API adds and pairs."""

GATEWAYS: Final = (*PAIRED, "sms", "whatsapp", "slack")
"""The kinds of channels that a worker opens gateways for."""


def id_of(channel: Channel) -> str | None:
    """The channel's id inside this daemon; None for one without a token."""
    token = channel.credentials.get("token")
    return channel_id(channel.type, token.reveal()) if token else None


def channel_named(persona: Persona, channel: str) -> Channel | None:
    """The channel of hers that has this id."""
    return next((record for record in persona.channels or [] if id_of(record) == channel), None)


def conversation_of(record: Channel, channel: str, chat: str) -> Conversation:
    """The one conversation of a paired channel."""
    return Conversation(record.type, record.name, channel, chat)
