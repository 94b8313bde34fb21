"""The channels in a persona's record, and their ids inside this daemon."""

from __future__ import annotations

import re
from typing import Final

from proto.gateways import channel_id
from proto.messages import Conversation
from proto.records import Channel, Persona

PAIRED: Final = ("telegram", "discord")
"""The kinds of channels that the persona API adds and pairs."""

GATEWAYS: Final = (*PAIRED, "sms", "whatsapp", "slack")
"""The kinds of channels for which a worker opens gateways."""


ID: Final = "channel"
"""The credential that holds a channel's id, if it does not follow from the token. It is no secret."""

_ID: Final = re.compile(r"[0-9a-f]{16}\Z")


def id_of(channel: Channel) -> str | None:
    """Return the channel's id inside this daemon, or None for a channel without a token."""
    own = channel.credentials.get(ID)
    if own and "token" in channel.credentials and _ID.match(own.reveal()):
        return own.reveal()
    return claim_of(channel)


def claim_of(channel: Channel) -> str | None:
    """Return what identifies the channel's token, which only one channel may have; None without a token."""
    token = channel.credentials.get("token")
    return channel_id(channel.type, token.reveal()) if token else None


def channel_named(persona: Persona, channel: str) -> Channel | None:
    """Return her channel with this id, or None."""
    return next((record for record in persona.channels or [] if id_of(record) == channel), None)


def conversation_of(record: Channel, channel: str, chat: str) -> Conversation:
    """Return the only conversation of a paired channel."""
    return Conversation(record.type, record.name, channel, chat)
