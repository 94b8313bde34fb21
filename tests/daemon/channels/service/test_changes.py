"""Channels are added, created, opened and changed: what is stored, opened and signalled, and each refusal."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from daemon.channels.errors import ChannelRefused
from daemon.conversations.worker import StartFailed
from daemon.ledger import ChannelFields, SenderLimits
from daemon.personas.personas import Personas, PersonasError
from proto.gateways import GatewayState, Identified, Inbound, channel_id
from proto.records import Organ, Persona
from proto.secrets import Secret
from tests.daemon.channels.service.changing import NOBODY, full, paired, refusal
from tests.daemon.channels.service.rig import ADA, BOB, LINE, Rig

# Adding.


async def test_a_channel_is_added(rig: Rig) -> None:
    """It has a row, a line in config.json and a gateway, and is signalled; white space around the token is stripped."""
    await rig.service.add(ADA, "telegram", f" {rig.bot('t1', '11', 'eve_bot')}\n")
    assert rig.listed() == [
        {"type": "telegram", "name": "eve_bot", "credentials": {"token": "t1"}, "verified_at": None}
    ]
    (row,) = await rig.rows()
    assert (row.channel, row.bot_id, row.bot_name, row.open) == (channel_id("telegram", "t1"), "11", "eve_bot", False)
    assert rig.processes.tokens(ADA) == ["t1"]
    assert rig.events() == ["Channel added"]
    assert rig.terms._terms.get(row.channel) is not None


async def test_nobody_is_started_by_a_channel(rig: Rig) -> None:
    """A stopped persona stays stopped."""
    del rig.processes.open[ADA]
    await rig.service.add(ADA, "telegram", rig.bot("t1"))
    assert (len(rig.listed()), rig.processes.open) == (1, {})


async def test_a_token_of_no_use_is_refused(rig: Rig) -> None:
    """The refusal has the provider's text, and nothing is stored."""
    assert await refusal(rig.service.add(ADA, "telegram", "x")) == (422, "The provider does not know it: get another.")
    assert (rig.listed(), await rig.rows(), rig.processes.followed) == ([], [], [])


async def test_a_kind_that_there_is_not_is_refused(rig: Rig) -> None:
    """No provider is asked."""
    words = "there is no such kind; use telegram or discord."
    assert await refusal(rig.service.add(ADA, "slack", "x")) == (422, words)
    assert rig.processes.asked == []


async def test_a_persona_who_goes_while_the_provider_is_asked(rig: Rig) -> None:
    """A channel of a persona that is deleted meanwhile is refused."""
    rig.processes.meanwhile = rig.personas._personas.clear
    assert await refusal(rig.service.add(ADA, "telegram", rig.bot("t1"))) == (404, "There is no persona with this id.")
    assert await rig.ledger.channel_owners() == []


async def test_what_is_added_stays_when_she_cannot_be_restarted(rig: Rig) -> None:
    """The restart's failure is raised, and the channel stays."""
    rig.processes.fault = "no memory"
    with pytest.raises(StartFailed, match="no memory"):
        await rig.service.add(ADA, "telegram", rig.bot("t1"))
    assert (len(rig.listed()), len(await rig.rows())) == (1, 1)


async def test_a_list_that_cannot_be_written_leaves_no_row(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is 507, and the bot is free."""
    free = full(monkeypatch)
    status, words = await refusal(rig.service.add(ADA, "telegram", rig.bot("t1")))
    assert (status, "the disk is full" in words) == (507, True)
    assert (rig.listed(), await rig.ledger.channel_owners()) == ([], [])
    free()
    await rig.service.add(ADA, "telegram", "t1")
    assert len(rig.listed()) == 1


# Which persona has a bot.


async def test_a_token_has_one_channel(rig: Rig) -> None:
    """A taken token is refused by both APIs before its provider is asked."""
    await rig.persona(BOB, "Bob")
    await rig.service.add(ADA, "telegram", rig.bot("t1"))
    asked = list(rig.processes.asked)
    for persona_id in (ADA, BOB):
        for change in (
            rig.service.add(persona_id, "telegram", "t1"),
            rig.service.open(rig.request("t1", persona_id=persona_id)),
        ):
            with pytest.raises(ChannelRefused) as raised:
                await change
            assert (raised.value.status, raised.value.owner, raised.value.kind) == (409, "Ada", "telegram")
    assert rig.processes.asked == asked


async def test_a_bot_has_one_channel(rig: Rig) -> None:
    """Another token of the same bot is refused like the same token."""
    await rig.persona(BOB, "Bob")
    await rig.service.open(rig.request(rig.bot("t1", "11")))
    words = "This bot or number already belongs to a channel of Ada. Remove that one first."
    assert await refusal(rig.service.add(BOB, "telegram", rig.bot("t2", "11"))) == (409, words)
    assert (rig.listed(BOB), await rig.rows(BOB)) == ([], [])


async def test_two_who_want_one_bot_at_once(rig: Rig) -> None:
    """One of them gets it."""
    await rig.persona(BOB, "Bob")
    rig.bot("t1")
    answers = await asyncio.gather(
        rig.service.add(ADA, "telegram", "t1"), rig.service.add(BOB, "telegram", "t1"), return_exceptions=True
    )
    assert [type(one) for one in answers if one] == [ChannelRefused]
    assert len(rig.listed(ADA)) + len(rig.listed(BOB)) == 1
    assert rig.processes.clashes == []


async def test_a_bot_is_not_free_before_its_gateway_is_closed(rig: Rig) -> None:
    """While a removal waits for the old process, another persona waits too: two gateways never share a token."""
    await rig.persona(BOB, "Bob")
    await rig.service.add(ADA, "telegram", rig.bot("t1"))
    rig.processes.retiring = asyncio.Event()
    removing = asyncio.create_task(rig.service.remove(ADA, "t1_bot"))
    assert await rig.processes.held.get() == ADA
    adding = asyncio.create_task(rig.service.add(BOB, "telegram", "t1"))
    assert await rig.processes.held.get() == ADA
    assert rig.listed(BOB) == []
    rig.processes.retiring.set()
    await asyncio.gather(removing, adding)
    assert (rig.processes.tokens(ADA), rig.processes.tokens(BOB)) == ([], ["t1"])
    assert rig.processes.clashes == []


# Creating and bringing back.


async def test_a_persona_is_made_with_her_channels(rig: Rig) -> None:
    """All of them, in the order asked for."""
    new = [await rig.service.identify(kind, rig.bot(f"{kind}-t")) for kind in ("telegram", "discord")]
    await rig.service.create(Persona(BOB, "Bob", Organ("echo")), new)
    assert [one["type"] for one in rig.listed(BOB)] == ["telegram", "discord"]
    assert len(await rig.rows(BOB)) == 2


async def test_a_persona_whose_bot_is_taken_is_not_made(rig: Rig) -> None:
    """Nothing of her stays, nor of the channels that were free."""
    new = [await rig.service.identify(kind, rig.bot(f"{kind}-t")) for kind in ("telegram", "discord")]
    await rig.service.add(ADA, "discord", "discord-t")
    with pytest.raises(ChannelRefused) as raised:
        await rig.service.create(Persona(BOB, "Bob", Organ("echo")), new)
    assert (raised.value.owner, raised.value.kind) == ("Ada", "discord")
    assert (rig.personas.get(BOB), await rig.ledger.channel_owners()) == (None, [ADA])


async def test_a_persona_who_cannot_be_written_is_not_made(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Her bots are free afterwards."""

    async def refuse(_personas: Personas, _persona: Persona) -> None:
        raise PersonasError("no room")

    monkeypatch.setattr(Personas, "create", refuse)
    new = [await rig.service.identify("telegram", rig.bot("t1"))]
    with pytest.raises(PersonasError):
        await rig.service.create(Persona(BOB, "Bob", Organ("echo")), new)
    assert await rig.ledger.channel_owners() == []


async def test_a_persona_comes_back_with_the_bots_that_are_free(rig: Rig) -> None:
    """The others are returned with the personas that have them."""
    new = [await rig.service.identify("telegram", rig.bot(token)) for token in ("t1", "t2")]
    await rig.service.add(ADA, "telegram", "t1")
    refused = await rig.service.bring_back(Persona(BOB, "Bob", Organ("echo")), new, rig.personas.create)
    assert [(one.channel, error.owner) for one, error in refused] == [(new[0].channel, "Ada")]
    assert [one["credentials"]["token"] for one in rig.listed(BOB)] == ["t2"]
    assert [row.channel for row in await rig.rows(BOB)] == [new[1].channel]


# Opening and changing.


async def test_a_channel_is_opened(rig: Rig) -> None:
    """Anybody may write on it, and it has the operator's name."""
    rig.bot("open", "12")
    row = await rig.service.open(rig.request("open"))
    assert (row.open, row.fields.name, row.bot_id, row.status) == (True, "Front desk", "12", "active")
    (listed,) = rig.listed()
    assert (listed["name"], listed["credentials"], bool(listed["verified_at"])) == (
        "Front desk",
        {"token": "open"},
        True,
    )
    assert [(one.open, one.token.reveal()) for one in rig.processes.open[ADA]] == [(True, "open")]
    assert rig.terms.is_open_channel(row.channel)
    assert rig.events() == ["Channel added"]


async def test_an_open_channel_stays_when_she_cannot_be_restarted(rig: Rig) -> None:
    """The failure is its last error."""
    rig.bot("open")
    rig.processes.fault = "no memory"
    row = await rig.service.open(rig.request("open"))
    assert row.error == "Her process did not come up: no memory"
    assert "persona.restart_failed" in rig.logged()


async def test_a_number_and_an_account_name_their_channels(rig: Rig) -> None:
    """A phone number is the token of its channel; a Slack account's token may change, but not its bot."""
    rig.bot(LINE, "AC1", "office line")
    rig.bot("xoxb-1", "U7", "clerk")
    sms = rig.request("open")
    sms = msgspec.structs.replace(
        sms, type="sms", token=None, fields=ChannelFields(name="Desk", phone=LINE, account="office")
    )
    slack = msgspec.structs.replace(sms, type="slack", fields=ChannelFields(name="Clerk", account="team"))
    assert (await rig.service.open(sms)).channel == channel_id("sms", LINE)
    assert (await rig.service.open(slack)).channel == channel_id("slack", "U7")
    tokens = {one.type: (one.token.reveal(), dict(one.credentials)) for one in rig.processes.open[ADA]}
    assert tokens["slack"][0] == "xoxb-1"
    assert set(tokens["sms"][1]) == {"auth_token"}


@pytest.mark.parametrize(
    ("fields", "token", "status", "words"),
    [
        (ChannelFields(name="x", account="nobody"), True, 422, "There is no account nobody"),
        (ChannelFields(name="x"), False, 422, "The channel needs a bot token"),
        (ChannelFields(name="x"), True, 422, "The provider does not know it"),
    ],
)
async def test_an_open_channel_of_no_use_is_refused(
    rig: Rig, fields: ChannelFields, token: bool, status: int, words: str
) -> None:
    """The refusal says what is missing, and nothing is stored."""
    asked = msgspec.structs.replace(rig.request("open"), fields=fields)
    found = await refusal(rig.service.open(asked if token else msgspec.structs.replace(asked, token=None)))
    assert (found[0], found[1].startswith(words)) == (status, True)
    assert await rig.rows() == []


async def test_nobody_has_no_open_channel(rig: Rig) -> None:
    """An unknown persona is 404 before any provider is asked."""
    assert (await refusal(rig.service.open(rig.request("open", persona_id=NOBODY))))[0] == 404
    assert rig.processes.asked == []


async def test_an_open_channel_is_changed(rig: Rig) -> None:
    """Its name changes in config.json too. Only another account restarts her process."""
    rig.bot(LINE, "AC1")
    asked = msgspec.structs.replace(
        rig.request("open"), type="sms", token=None, fields=ChannelFields(name="Desk", phone=LINE, account="office")
    )
    row = await rig.service.open(asked)
    before = len(rig.processes.followed)
    fields = msgspec.structs.replace(row.fields, name="Reception", welcome="Hi")
    assert (await rig.service.update(row.channel, fields)).fields == fields
    assert [one["name"] for one in rig.listed()] == ["Reception"]
    assert len(rig.processes.followed) == before
    moved = msgspec.structs.replace(fields, account="branch")
    assert (await rig.service.update(row.channel, moved)).fields == moved
    assert len(rig.processes.followed) == before + 1


async def test_a_name_that_cannot_be_written_changes_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is 507, and the row keeps its old fields, also after the next read of the list."""
    rig.bot("open")
    row = await rig.service.open(rig.request("open"))
    free = full(monkeypatch)
    fields = msgspec.structs.replace(row.fields, name="Reception", welcome="Hi")
    assert (await refusal(rig.service.update(row.channel, fields)))[0] == 507
    free()
    await rig.register.read_back(ADA)
    assert [one.fields for one in await rig.rows()] == [row.fields]
    assert [one["name"] for one in rig.listed()] == ["Front desk"]


async def test_what_is_no_open_channel_is_not_changed(rig: Rig) -> None:
    """A paired channel, another phone number and an unknown channel are refused."""
    channel = await paired(rig)
    rig.bot("open")
    row = await rig.service.open(rig.request("open"))
    other = msgspec.structs.replace(row.fields, phone=LINE)
    assert (await refusal(rig.service.update(channel, row.fields)))[0] == 409
    assert (await refusal(rig.service.update(row.channel, other)))[0] == 409
    for change in (rig.service.update("0" * 16, other), rig.service.pause("0" * 16), rig.service.delete("0" * 16)):
        assert await refusal(change) == (404, "There is no channel with this id.")


async def test_a_channel_is_paused_and_resumed(rig: Rig) -> None:
    """Its terms follow at once."""
    rig.bot("open")
    row = await rig.service.open(rig.request("open"))
    assert (await rig.service.pause(row.channel)).status == "paused"
    terms = rig.terms._terms.get(row.channel)
    assert terms is not None
    assert terms.is_paused
    followed = len(rig.processes.followed)
    assert (await rig.service.resume(row.channel)).status == "active"
    assert len(rig.processes.followed) == followed
    rig.processes.states[ADA] = [GatewayState(row.channel, "stopped", "401")]
    await rig.service.resume(row.channel)
    assert len(rig.processes.followed) == followed + 1


async def test_a_provider_is_asked_now(rig: Rig) -> None:
    """The provider is asked with the channel's credentials."""
    rig.bot("open", "12", "desk_bot")
    row = await rig.service.open(rig.request("open"))
    assert await rig.service.ask(row) == Identified("12", "desk_bot")
    gone = msgspec.structs.replace(row, fields=msgspec.structs.replace(row.fields, account="gone"))
    assert "no [accounts.gone]" in (await rig.service.ask(gone)).reason
    rig.paste(None)
    await rig.personas._reload(ADA)
    assert "does not have this channel" in (await rig.service.ask(row)).reason


# A new token of the same bot.


async def test_a_new_token_keeps_the_pairing(rig: Rig) -> None:
    """The new token takes the old one's place: same channel, same account, one gateway, also after a restart."""
    await rig.service.add(ADA, "telegram", rig.bot("t1", "11", "eve_bot"))
    code = await rig.write_to_bot("t1")
    await rig.service.pair(ADA, code)
    [before] = await rig.ledger.channels(ADA)
    await rig.service.add(ADA, "telegram", rig.bot("t2", "11", "eve_bot"))
    [after] = await rig.ledger.channels(ADA)
    assert (after.channel, after.account, after.chat) == (before.channel, "77", "77")
    assert rig.processes.tokens(ADA) == ["t2"]
    [listed] = rig.listed()
    assert (listed["name"], bool(listed["verified_at"])) == ("ann", True)
    assert listed["credentials"] == {"token": "t2", "channel": before.channel}
    await rig.register.reconcile()
    assert [row.account for row in await rig.ledger.channels(ADA)] == ["77"]


async def test_a_new_token_belongs_to_one_channel(rig: Rig) -> None:
    """Nobody else gets a gateway for the new token, not even pasted by hand, and a repeated add is refused."""
    await rig.persona(BOB, "Bob")
    await rig.service.add(ADA, "telegram", rig.bot("t1", "11"))
    await rig.service.add(ADA, "telegram", rig.bot("t2", "11"))
    pasted = {"type": "telegram", "name": "mine", "credentials": {"token": "t2"}, "verified_at": None}
    await rig.edit([pasted], BOB)
    await rig.edit([*rig.listed(), pasted])
    assert (rig.processes.tokens(ADA), rig.processes.tokens(BOB)) == (["t2"], [])
    assert rig.processes.clashes == []
    for who in (ADA, BOB):
        assert (await refusal(rig.service.add(who, "telegram", "t2")))[0] == 409
    rig.bot("t3", "11")
    assert (await refusal(rig.service.add(BOB, "telegram", "t3")))[0] == 409


async def test_an_open_channel_gets_a_new_token(rig: Rig) -> None:
    """An open channel keeps its conversations, too; a token of another bot is refused."""
    row = await rig.service.open(rig.request(rig.bot("open", "21")))
    new = await rig.service.renew(row.channel, Secret(rig.bot("open2", "21")))
    assert (new.channel, rig.processes.tokens(ADA)) == (row.channel, ["open2"])
    for token, status in ((rig.bot("other", "22"), 409), ("unknown", 422), ("open2", 409)):
        assert (await refusal(rig.service.renew(row.channel, Secret(token))))[0] == status
    assert rig.processes.tokens(ADA) == ["open2"]
    # The persona API does not take an open channel's bot.
    assert (await refusal(rig.service.add(ADA, "telegram", rig.bot("open3", "21"))))[0] == 409


async def test_an_open_channel_that_is_made_again_has_a_new_id(rig: Rig) -> None:
    """Who knows the old id sees nothing of the new channel."""
    rig.bot("open", "21")
    first = await rig.service.open(rig.request("open"))
    item = Inbound("1", "77", "ann", "77", private=True, kind="text", content="my secret", at=1)
    await rig.ledger.visit(ADA, first.channel, [item], [], SenderLimits(9, 9), [1, 2], 1)
    await rig.service.delete(first.channel)
    second = await rig.service.open(rig.request("open"))
    assert second.channel != first.channel
    assert await rig.ledger.open_channel(first.channel, 0) is None
    assert [one.channel for one in rig.processes.open[ADA]] == [second.channel]
    await rig.register.reconcile()
    assert [row.channel for row in await rig.rows()] == [second.channel]
