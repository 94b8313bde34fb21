"""The settings with which a worker opens its persona's gateways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from daemon.channels.register import ChannelRegister
from daemon.ledger import Ledger, OpenChannel, StoredChannel
from daemon.logging.log import Log
from daemon.personas.channel_records import GATEWAYS, id_of
from daemon.personas.personas import Personas
from daemon.runtime.clock import Clock
from daemon.settings.accounts import ReadAccount
from proto.gateways import Gateway
from proto.records import Channel
from proto.secrets import Secret

OVERLAP: Final = 3600 * 1_000_000_000
"""Nanoseconds: after a start, the provider's list of messages is read again from this long before the last one."""


class ChannelGateways:
    """Makes gateways from rows and tokens. ``webhooks_url`` is the address that providers call, "" if they cannot."""

    def __init__(
        self,
        register: ChannelRegister,
        ledger: Ledger,
        personas: Personas,
        accounts: Mapping[str, ReadAccount],
        webhooks_url: str,
        clock: Clock,
        log: Log,
    ) -> None:
        self._register = register
        self._ledger = ledger
        self._personas = personas
        self._accounts = accounts
        self._webhooks_url = webhooks_url
        self._clock = clock
        self._log = log

    async def of(self, persona_id: str) -> list[Gateway]:
        """The gateways of her channels, one for each bot. Raises LedgerError."""
        taken = (await self._register.prepare(persona_id)).taken
        stored = {row.channel: row for row in await self._ledger.channels(persona_id)}
        rows = await self._ledger.channels_of(persona_id, self._clock.time_ns())
        opened = {row.channel: row for row in rows if row.open}
        persona = self._personas.get(persona_id)
        found: dict[str, Gateway] = {}
        for record in (persona.channels if persona else None) or []:
            channel = id_of(record)
            if channel is None or record.type not in GATEWAYS:
                continue
            if channel not in taken and channel in opened:
                found[channel] = self._open_gateway(record, opened[channel])
            elif channel not in taken and channel in stored:
                found[channel] = _paired_gateway(record, stored[channel])
            elif channel in taken:
                # Two gateways on one token would take each other's messages.
                owner = self._personas.get(taken[channel])
                name = owner.name if owner else taken[channel]
                self._log.error("channel.taken", persona=persona_id, channel=record.type, owner=name)
            else:
                self._log.error("channel.not_made_here", persona=persona_id, channel=record.type, name=record.name)
        return list(found.values())

    def _open_gateway(self, record: Channel, row: OpenChannel) -> Gateway:
        """The gateway of an open channel, with its account's credentials from the current settings."""
        account = self._accounts.get(row.fields.account)
        if row.fields.account and account is None:
            self._log.error(
                "channel.account_unknown", persona=row.persona, channel=row.channel, account=row.fields.account
            )
        credentials = account.credentials if account else {}
        token = record.credentials["token"]
        return Gateway(
            channel=row.channel,
            type=row.type,
            token=credentials.get("bot_token", token) if row.type == "slack" else token,
            open=True,
            phone=row.fields.phone or "",
            credentials=credentials,
            webhook=self._webhook(row, credentials),
            since=max(row.created_at, (row.last_message_at or 0) - OVERLAP),
        )

    def _webhook(self, row: OpenChannel, credentials: Mapping[str, Secret]) -> str:
        """The address that its provider calls; "" for a gateway that polls or holds a socket."""
        by_socket = "app_token" in credentials or (row.type == "telegram" and "webhook_secret" not in credentials)
        return f"{self._webhooks_url}/hooks/{row.channel}" if self._webhooks_url and not by_socket else ""


def _paired_gateway(record: Channel, row: StoredChannel) -> Gateway:
    """The gateway of a channel that is paired with her owner, or still to be paired."""
    bound = record.verified_at is not None and row.account is not None
    return Gateway(
        channel=row.channel,
        type="telegram" if record.type == "telegram" else "discord",
        token=record.credentials["token"],
        account=row.account if bound else None,
        chat=row.chat if bound else None,
        last_key=row.last_key,
    )
