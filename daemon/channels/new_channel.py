"""A channel that is about to be created."""

from __future__ import annotations

from datetime import datetime

import msgspec

from daemon.ledger import ChannelFields
from daemon.personas.channel_records import ID
from proto.gateways import GatewayType, Identified, channel_id
from proto.records import Channel
from proto.secrets import Secret


class OpenChannelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The open channel that an operator asks for.

    ``token`` is the bot's. It is None if the account has the token or the channel is a phone number.
    """

    persona: str
    type: GatewayType
    fields: ChannelFields
    token: Secret | None = None


class NewChannel(msgspec.Struct, frozen=True, kw_only=True):
    """A channel whose token the provider has accepted. ``fields`` are an open channel's; None for one to be paired.

    ``id`` is the channel's id if it does not follow from the token.
    """

    type: GatewayType
    token: Secret
    bot: Identified
    fields: ChannelFields | None = None
    id: str = ""

    @property
    def channel(self) -> str:
        """Its id inside this daemon."""
        return self.id or self.claim

    @property
    def claim(self) -> str:
        """Identifies the token, which only one channel may have."""
        return channel_id(self.type, self.token.reveal())

    def record(self) -> Channel:
        """Its entry in config.json. A channel to be paired has its bot's handle as its name until it is paired."""
        own = {} if self.channel == self.claim else {ID: Secret(self.channel)}
        credentials = {"token": self.token, **own}
        if self.fields is None:
            return Channel(self.type, self.bot.bot_name, credentials)
        opened_at = datetime.now().astimezone().isoformat("T", "milliseconds")
        return Channel(self.type, self.fields.name, credentials, opened_at)
