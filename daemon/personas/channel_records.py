"""The channels in a persona's record, and their ids inside this daemon."""

from __future__ import annotations

from typing import Final

from proto.gateways import channel_id
from proto.messages import Conversation
from proto.records import Channel, Persona

PAIRED: Final = ("telegram", "discord")
"""The kinds of channels that the persona API adds and pairs."""

GATEWAYS: Final = (*PAIRED, "sms", "whatsapp", "slack")
"""The kinds of channels for which a worker opens gateways."""


def id_of(channel: Channel) -> str | None:
    """Return the channel's id inside this daemon, or None for a channel without a token."""
    token = channel.credentials.get("token")
    return channel_id(channel.type, token.reveal()) if token else None


def channel_named(persona: Persona, channel: str) -> Channel | None:
    """Return her channel with this id, or None."""
    return next((record for record in persona.channels or [] if id_of(record) == channel), None)


def conversation_of(record: Channel, channel: str, chat: str) -> Conversation:
    """Return the only conversation of a paired channel."""
    return Conversation(record.type, record.name, channel, chat)
