"""A changed account: the gateways of its channels are opened again, with the new credentials, and no others are."""

from __future__ import annotations

import asyncio

import msgspec

from daemon.ledger import ChannelFields
from daemon.settings.accounts import ReadAccount
from proto.secrets import Secret
from tests.daemon.channels.service.rig import ADA, BOB, LINE, Rig


async def follow(rig: Rig, *names: str) -> None:
    """Tell the service which accounts are others now, and wait until everything has followed."""
    rig.processes.followed.clear()
    await rig.service.accounts_changed(names)
    while following := [task for owner in rig.tasks._owners.values() for task in owner._commands]:
        await asyncio.gather(*following)


async def test_only_the_channels_of_the_account_are_reopened(rig: Rig) -> None:
    """The persona with a channel of this account gets a new process; an account that nobody uses changes nothing."""
    await rig.persona(BOB, "Bob")
    rig.bot(LINE, "AC1", "office line")
    rig.bot("open")
    fields = ChannelFields(name="Desk", phone=LINE, account="office")
    asked = msgspec.structs.replace(rig.request("open"), type="sms", token=None, fields=fields)
    row = await rig.service.open(asked)
    await rig.service.open(rig.request("open", BOB))

    await follow(rig, "branch", "team")
    assert rig.processes.followed == []
    changed = ReadAccount("office", "twilio", (LINE,), {"auth_token": Secret("new")})
    rig.accounts["office"] = changed
    await follow(rig, "office", "team")
    assert rig.processes.followed == [ADA]
    [gateway] = rig.processes.open[ADA]
    assert (gateway.channel, gateway.credentials) == (row.channel, changed.credentials)

    del rig.accounts["office"]
    await follow(rig, "office")
    [gateway] = rig.processes.open[ADA]
    assert gateway.credentials == {}
    assert "channel.account_unknown" in rig.logged()


async def test_a_process_that_does_not_come_up_shows_on_the_channel(rig: Rig) -> None:
    """As after any other change of a channel."""
    rig.bot(LINE, "AC1", "office line")
    fields = ChannelFields(name="Desk", phone=LINE, account="office")
    asked = msgspec.structs.replace(rig.request("open"), type="sms", token=None, fields=fields)
    await rig.service.open(asked)
    rig.processes.fault = "no memory"
    await follow(rig, "office")
    [row] = await rig.rows()
    assert row.error == "Her process did not come up: no memory"
