"""config.json is edited by hand: the rows follow the list, and no two gateways ever share a token."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from daemon.channels.errors import ChannelRefused
from daemon.channels.health import channel_health
from daemon.logging.log import Log
from proto.gateways import GatewayState, channel_id
from tests.daemon.channels.service.rig import ADA, BOB, Rig, open_rig


class PlayedWorker:
    """A process that accepts every message."""

    def __init__(self) -> None:
        self.gateways: list[GatewayState] = []

    def send(self, message: object) -> None:
        """Accept the message; no test looks at it."""


def line(token: str, name: str = "mine", kind: str = "telegram", verified_at: str | None = None) -> dict[str, Any]:
    """A channel in config.json."""
    return {"type": kind, "name": name, "credentials": {"token": token}, "verified_at": verified_at}


async def channels(rig: Rig, persona_id: str = ADA) -> dict[str, str]:
    """Her rows: the name of each channel."""
    return {row.channel: row.fields.name for row in await rig.rows(persona_id)}


async def pair(rig: Rig) -> str:
    """Add a bot and pair it; returns the channel."""
    await rig.service.add(ADA, "telegram", rig.bot("t1"))
    await rig.service.pair(ADA, await rig.write_to_bot("t1"))
    return channel_id("telegram", "t1")


async def test_a_channel_is_pasted(rig: Rig) -> None:
    """It is hers at once; the bot's identity is stored when the gateway connects."""
    await rig.edit([line("t1")])
    channel = channel_id("telegram", "t1")
    (row,) = await rig.rows()
    assert (row.channel, row.fields.name, row.bot_id, row.open) == (channel, "mine", "", False)
    assert rig.processes.tokens(ADA) == ["t1"]
    state = GatewayState(channel, "connected", bot_id="11", bot_name="eve_bot")
    rig.states.changed(ADA, PlayedWorker(), state)
    await asyncio.gather(*rig.tasks.of(ADA)._running)
    (row,) = await rig.rows()
    assert (row.bot_id, row.bot_name, row.fields.name) == ("11", "eve_bot", "mine")
    # A new token of this bot takes the pasted one's place.
    await rig.service.add(ADA, "telegram", rig.bot("t2", "11"))
    assert [row.channel for row in await rig.rows()] == [channel]
    assert rig.processes.tokens(ADA) == ["t2"]


async def test_a_pasted_channel_can_be_paired(rig: Rig) -> None:
    """Pairing gives it the account's name."""
    await rig.edit([line("t1")])
    await rig.service.pair(ADA, await rig.write_to_bot("t1"))
    assert await channels(rig) == {channel_id("telegram", "t1"): "ann"}


@pytest.mark.parametrize("running", [True, False])
async def test_a_channel_is_taken_out(rig: Rig, running: bool) -> None:
    """Its row, its gateway and the claim on its bot go, also while she is stopped."""
    channel = await pair(rig)
    if not running:
        del rig.processes.open[ADA]
    await rig.edit(None)
    assert await channels(rig) == {}
    assert rig.terms._terms.get(channel) is None
    assert await rig.ledger.waiting(ADA) == []
    if running:
        assert rig.processes.tokens(ADA) == []
    await rig.persona(BOB, "Bob")
    await rig.service.add(BOB, "telegram", "t1")


async def test_a_bot_that_nobody_saw_taken_out_is_free(rig: Rig) -> None:
    """The first persona that asks for the bot gets it, after the old persona's process has closed its gateway."""
    await rig.persona(BOB, "Bob")
    await rig.service.add(ADA, "telegram", rig.bot("t1"))
    rig.paste(None)
    await rig.personas._reload(ADA)
    await rig.service.add(BOB, "telegram", "t1")
    assert (rig.processes.tokens(ADA), rig.processes.tokens(BOB)) == ([], ["t1"])
    assert rig.processes.clashes == []


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_channel_is_renamed(rig: Rig, is_open: bool) -> None:
    """Both APIs show the name that was written by hand."""
    rig.bot("open")
    channel = (await rig.service.open(rig.request("open"))).channel if is_open else await pair(rig)
    await rig.edit([{**rig.listed()[0], "name": "By hand"}])
    assert await channels(rig) == {channel: "By hand"}
    await rig.service.remove(ADA, "By hand")
    assert await channels(rig) == {}


async def test_a_token_is_changed(rig: Rig) -> None:
    """A new token is another channel: the old one is gone with its pairing, the new one is unpaired."""
    await pair(rig)
    await rig.edit([{**rig.listed()[0], "credentials": {"token": "t2"}}])
    (row,) = await rig.ledger.channels(ADA)
    assert (row.channel, row.account) == (channel_id("telegram", "t2"), None)
    assert [(one.token.reveal(), one.account) for one in rig.processes.open[ADA]] == [("t2", None)]
    (health,) = await channel_health(rig.ledger, rig.record(), [], {}, 0)
    assert not health.verified
    await rig.service.pair(ADA, await rig.write_to_bot("t2"))


async def test_a_channel_is_unpaired(rig: Rig) -> None:
    """She takes no messages there until it is paired again."""
    channel = await pair(rig)
    await rig.edit([{**rig.listed()[0], "verified_at": None}])
    assert [row.account for row in await rig.ledger.channels(ADA)] == [None]
    assert [one.account for one in rig.processes.open[ADA]] == [None]
    await rig.service.pair(ADA, await rig.write_to_bot("t1"))
    assert await channels(rig) == {channel: "ann"}


async def test_a_hand_cannot_pair(rig: Rig) -> None:
    """``verified_at`` in the file names no account: the channel still needs a code."""
    await rig.edit([line("t1", verified_at="2026-01-01T00:00:00.000+00:00")])
    assert [one.account for one in rig.processes.open[ADA]] == [None]
    (health,) = await channel_health(rig.ledger, rig.record(), [], {}, 0)
    assert not health.verified
    await rig.service.pair(ADA, await rig.write_to_bot("t1"))
    (health,) = await channel_health(rig.ledger, rig.record(), [], {}, 0)
    assert health.verified


async def test_a_channel_that_is_pasted_twice_has_one_gateway(rig: Rig) -> None:
    """Two lines of one list are one channel."""
    await rig.edit([line("t1"), line("t1", "again")])
    assert (rig.processes.tokens(ADA), rig.processes.clashes) == (["t1"], [])


async def test_a_channel_that_is_another_personas_is_not_opened(rig: Rig) -> None:
    """The log names the other persona; the channel opens as soon as she gives it up."""
    await rig.persona(BOB, "Bob")
    await rig.service.add(ADA, "telegram", rig.bot("t1"))
    await rig.edit([line("t1", "stolen")], BOB)
    assert (rig.processes.tokens(ADA), rig.processes.tokens(BOB)) == (["t1"], [])
    taken = [json.loads(one) for one in rig.log.tail.last(1000) if b"channel.taken" in one]
    assert [(one["persona"], one["owner"]) for one in taken] == [(BOB, "Ada")]
    await rig.service.remove(ADA, "t1_bot")
    await rig.see(ADA)
    assert (rig.processes.tokens(ADA), rig.processes.tokens(BOB)) == ([], ["t1"])
    assert await channels(rig, BOB) == {channel_id("telegram", "t1"): "stolen"}
    assert rig.processes.clashes == []


async def test_a_new_token_in_two_lists_has_one_gateway(rig: Rig) -> None:
    """The list that was read first has it, also after the next start."""
    await rig.persona(BOB, "Bob")
    rig.paste([line("t1")], ADA)
    rig.paste([line("t1")], BOB)
    await rig.see(BOB)
    await rig.see(ADA)
    assert (rig.processes.tokens(ADA), rig.processes.tokens(BOB)) == ([], ["t1"])
    await rig.register.reconcile()
    await rig.processes.follow(ADA)
    assert (rig.processes.tokens(ADA), rig.processes.tokens(BOB)) == ([], ["t1"])
    assert rig.processes.clashes == []


@pytest.mark.parametrize("order", [(ADA, BOB), (BOB, ADA)])
async def test_a_channel_is_moved(rig: Rig, order: tuple[str, str]) -> None:
    """A channel is cut out of one list and pasted into another, in either order."""
    await rig.persona(BOB, "Bob")
    await rig.service.add(ADA, "telegram", rig.bot("t1"))
    rig.paste(rig.listed(ADA), BOB)
    rig.paste(None, ADA)
    for persona_id in order:
        await rig.see(persona_id)
    assert (rig.processes.tokens(ADA), rig.processes.tokens(BOB)) == ([], ["t1"])
    assert (await channels(rig, ADA), len(await channels(rig, BOB))) == ({}, 1)
    assert rig.processes.clashes == []


async def test_a_kind_that_is_made_elsewhere_is_not_opened(rig: Rig) -> None:
    """Kinds that are made by /v1 only and unknown kinds are not opened; the log names the former."""
    await rig.edit([line("x", kind="slack"), line("y", kind="carrier pigeon")])
    assert (await channels(rig), rig.processes.tokens(ADA)) == ({}, [])
    assert rig.logged().count("channel.not_made_here") == 1


async def test_an_edit_that_cannot_be_followed_is_told(rig: Rig) -> None:
    """A channel that the edit took out is free nevertheless."""
    await rig.service.add(ADA, "telegram", rig.bot("t1"))
    rig.processes.fault = "no memory"
    await rig.edit(None)
    assert "persona.edit_failed" in rig.logged()
    assert await channels(rig) == {}


async def test_edits_while_the_daemon_is_stopped(rig: Rig, log: Log, tmp_path: Path) -> None:
    """The next start applies them: one channel is renamed, one taken out, one pasted."""
    for token in ("t1", "t2"):
        await rig.service.add(ADA, "telegram", rig.bot(token))
    kept = next(one for one in rig.listed() if one["credentials"]["token"] == "t1")
    await rig.close()
    rig.paste([{**kept, "name": "By hand"}, line("t3")])
    again = await open_rig(tmp_path, log)
    names = {channel_id("telegram", "t1"): "By hand", channel_id("telegram", "t3"): "mine"}
    assert await channels(again) == names
    await again.close()


async def test_a_list_that_cannot_be_read_keeps_its_channels(rig: Rig, log: Log, tmp_path: Path) -> None:
    """With a broken file at the start her channels stay, with their pairing."""
    await rig.persona(BOB, "Bob")
    channel, whole = await pair(rig), rig.file().read_text()
    await rig.close()
    rig.file().write_text(whole[:-10])
    again = await open_rig(tmp_path, log)
    again.bot("t1")
    with pytest.raises(ChannelRefused):
        await again.service.add(BOB, "telegram", "t1")
    assert again.processes.asked == []
    again.file().write_text(whole)
    await again.see()
    assert [(row.channel, row.account) for row in await again.ledger.channels(ADA)] == [(channel, "77")]
    assert again.terms._terms.get(channel) is not None
    await again.close()
