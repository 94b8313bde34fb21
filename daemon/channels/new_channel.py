"""A channel that is about to be made."""

from __future__ import annotations

from datetime import datetime

import msgspec

from daemon.ledger import ChannelFields
from proto.gateways import GatewayType, Identified, channel_id
from proto.records import Channel
from proto.secrets import Secret


class OpenChannelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator wants an open channel to be.

    ``token`` is its bot's; None where the account has it, or the phone number serves.
    """

    persona: str
    type: GatewayType
    fields: ChannelFields
    token: Secret | None = None


class NewChannel(msgspec.Struct, frozen=True, kw_only=True):
    """A channel whose provider knows its token. ``fields`` are an open channel's; None for one to be paired."""

    type: GatewayType
    token: Secret
    bot: Identified
    fields: ChannelFields | None = None

    @property
    def channel(self) -> str:
        """Its id inside this daemon."""
        return channel_id(self.type, self.token.reveal())

    def record(self) -> Channel:
        """How config.json lists it. One to be paired is named by its bot's own handle until it is."""
        credentials = {"token": self.token}
        if self.fields is None:
            return Channel(self.type, self.bot.bot_name, credentials)
        opened_at = datetime.now().astimezone().isoformat("T", "milliseconds")
        return Channel(self.type, self.fields.name, credentials, opened_at)
