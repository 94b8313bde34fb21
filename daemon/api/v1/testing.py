"""Whether a channel's credentials are good, asked of its provider by a short-lived process."""

from __future__ import annotations

import time

from daemon.api.v1.objects import TestObject, moment
from daemon.ledger import OpenChannel
from daemon.personas.channel_records import channel_named
from daemon.startup.daemon import Daemon
from proto.gateways import Identified


async def tested(daemon: Daemon, channel: OpenChannel) -> TestObject:
    """Ask, and say in words what to do when the answer is no."""
    found = await _identified(daemon, channel)
    fault = found.reason
    if not fault and found.bot_id and channel.bot_id and found.bot_id != channel.bot_id:
        fault = "The credentials are good, but of another account than the channel was made with: mend them."
    return TestObject(
        ok=not fault,
        identity=found.bot_name or found.bot_id or None,
        detail=fault or "The provider takes the credentials.",
        tested_at=moment(time.time_ns()),
    )


async def _identified(daemon: Daemon, channel: OpenChannel) -> Identified:
    persona = daemon.personas.get(channel.persona)
    record = channel_named(persona, channel.channel) if persona else None
    if record is None:
        return Identified(reason="The persona's config.json does not have this channel: delete it here.")
    name = channel.fields.account
    account = daemon.accounts.get(name)
    if name and account is None:
        return Identified(reason=f"There is no [accounts.{name}] in personad.toml any more: put it back.")
    credentials = account.credentials if account else {}
    token = credentials.get("bot_token") or record.credentials["token"]
    return await daemon.supervisor.identify(channel.type, token, channel.fields.phone or "", credentials)
