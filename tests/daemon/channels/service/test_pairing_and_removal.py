"""Channels are paired and removed: what is stored, closed and signalled, and each refusal."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from daemon.conversations.worker import StartFailed
from proto.gateways import Bound, GatewayState, Inbound, Received, Taken, channel_id
from proto.messages import Conversation, Perceive
from tests.daemon.channels.service.changing import NOBODY, full, paired, refusal
from tests.daemon.channels.service.rig import ADA, Rig
from tests.patience import PATIENCE

# Pairing.


async def test_a_channel_is_paired(rig: Rig) -> None:
    """The row has the account and config.json its name; the worker is notified, and held messages wait for her."""
    channel = await paired(rig)
    (row,) = await rig.ledger.channels(ADA)
    assert (row.account, row.chat) == ("77", "77")
    assert [(one["name"], bool(one["verified_at"])) for one in rig.listed()] == [("ann", True)]
    assert rig.processes.sent == [Bound(channel, "77", "77")]
    assert [item.perception.content for item in await rig.ledger.waiting(ADA)] == ["hello"]
    assert "Channel paired" in rig.events()


async def test_codes_that_pair_nothing(rig: Rig) -> None:
    """Each refusal has its documented text; after five wrong codes the right one is refused too."""
    await rig.service.add(ADA, "telegram", rig.bot("t1"))
    code = await rig.write_to_bot("t1")
    del rig.processes.open[ADA]
    assert await refusal(rig.service.pair(ADA, code)) == (409, "Persona is not active.")
    assert await refusal(rig.service.pair(NOBODY, code)) == (409, "Persona is not active.")
    await rig.processes.start(ADA)
    invalid = (400, "Pairing code is invalid or has expired.")
    for _ in range(5):
        assert await refusal(rig.service.pair(ADA, "WRONGS")) == invalid
    assert await refusal(rig.service.pair(ADA, code)) == invalid
    rig.service.forget(ADA)
    await rig.service.pair(ADA, code.lower())


async def test_a_code_whose_channel_was_taken_out(rig: Rig) -> None:
    """The code finds no channel and is used up."""
    await rig.service.add(ADA, "telegram", rig.bot("t1"))
    code = await rig.write_to_bot("t1")
    rig.paste(None)
    await rig.personas._reload(ADA)
    words = "The channel associated with this pairing code could not be found."
    assert await refusal(rig.service.pair(ADA, code)) == (400, words)
    assert (await refusal(rig.service.pair(ADA, code)))[1] != words


async def test_a_code_for_a_channel_that_is_paired(rig: Rig) -> None:
    """A code for a paired channel is refused."""
    await paired(rig)
    code = await rig.write_to_bot("t1", code="ZZZZZZ")
    assert await refusal(rig.service.pair(ADA, code)) == (400, "This channel is already verified.")


async def test_a_pairing_that_cannot_be_saved(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is 507 and she stays unpaired; the same code pairs her once there is room."""
    await rig.service.add(ADA, "telegram", rig.bot("t1"))
    code = await rig.write_to_bot("t1")
    free = full(monkeypatch)
    status, words = await refusal(rig.service.pair(ADA, code))
    assert (status, words.endswith("Try the same code again.")) == (507, True)
    assert [row.account for row in await rig.ledger.channels(ADA)] == [None]
    free()
    await rig.service.pair(ADA, code)
    assert [row.account for row in await rig.ledger.channels(ADA)] == ["77"]


# Removing.


async def test_channels_are_removed_by_name(rig: Rig) -> None:
    """All channels with the name go, with row, terms and gateway; the bot's next channel starts fresh."""
    for token in ("t1", "t2"):
        await rig.service.add(ADA, "telegram", rig.bot(token, name="twin"))
    await rig.service.add(ADA, "telegram", rig.bot("t3"))
    rig.events()
    await rig.service.remove(ADA, "twin")
    assert [one["name"] for one in rig.listed()] == ["t3_bot"]
    assert [row.channel for row in await rig.rows()] == [channel_id("telegram", "t3")]
    assert rig.processes.tokens(ADA) == ["t3"]
    assert rig.terms._terms.get(channel_id("telegram", "t1")) is None
    assert rig.events() == ["Channel removed"]


async def test_a_name_that_is_not_there_is_no_error(rig: Rig) -> None:
    """No process is restarted."""
    await rig.service.remove(ADA, "nobody")
    assert (rig.processes.followed, rig.events()) == ([], [])
    assert (await refusal(rig.service.remove(NOBODY, "x")))[0] == 404


async def test_what_is_removed_stays_so_when_she_cannot_be_restarted(rig: Rig) -> None:
    """The failure is raised, and the bot is free."""
    await rig.service.add(ADA, "telegram", rig.bot("t1"))
    rig.processes.fault = "no memory"
    with pytest.raises(StartFailed):
        await rig.service.remove(ADA, "t1_bot")
    assert (rig.listed(), await rig.rows()) == ([], [])


async def test_a_removal_that_cannot_be_written(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is 507, and nothing has changed."""
    channel = await paired(rig)
    full(monkeypatch)
    assert (await refusal(rig.service.remove(ADA, "ann")))[0] == 507
    assert (await refusal(rig.service.delete(channel)))[0] == 507
    assert (len(rig.listed()), len(await rig.rows()), rig.processes.tokens(ADA)) == (1, 1, ["t1"])


@pytest.mark.parametrize("is_open", [False, True])
async def test_a_channel_is_deleted_by_its_id(rig: Rig, is_open: bool) -> None:
    """It may be open or paired; a failed restart does not prevent it."""
    rig.bot("open")
    channel = (await rig.service.open(rig.request("open"))).channel if is_open else await paired(rig)
    rig.processes.fault = "no memory"
    await rig.service.delete(channel)
    assert (rig.listed(), await rig.rows(), rig.events()[-1]) == ([], [], "Channel removed")
    assert "persona.restart_failed" in rig.logged()


async def test_what_waits_on_a_channel_goes_with_it(rig: Rig) -> None:
    """Its messages are dropped, also for a process that starts without the channel."""
    await paired(rig)
    rig.processes.retiring = asyncio.Event()
    removing = asyncio.create_task(rig.service.remove(ADA, "ann"))
    assert await rig.processes.held.get() == ADA
    assert rig.inbox.depth(ADA) == 0
    rig.processes.retiring.set()
    await removing
    assert await rig.ledger.waiting(ADA) == []


# Other rules.


async def test_a_record_is_changed_and_its_channels_stay(rig: Rig) -> None:
    """Her channels stay even if the change replaces them."""
    before = rig.record()
    await rig.service.add(ADA, "telegram", rig.bot("t1"))
    saved = await rig.register.change_record(ADA, lambda _: msgspec.structs.replace(before, status="sick"))
    assert saved == rig.record()
    assert (rig.record().status, len(rig.listed())) == ("sick", 1)
    assert await rig.register.change_record(NOBODY, lambda persona: persona) is None


async def test_words_on_a_channel_that_is_gone_are_not_taken(rig: Rig) -> None:
    """A worker that still sends messages from a removed channel gets a refusal."""

    class PlayedWorker:
        gateways: list[GatewayState] = []  # noqa: RUF012 - a Worker's attribute
        answers: asyncio.Queue[msgspec.Struct] = asyncio.Queue()

        def send(self, message: msgspec.Struct) -> None:
            self.answers.put_nowait(message)

    worker, channel = PlayedWorker(), await paired(rig)
    words = Inbound("2", "77", "ann", "77", private=True, kind="text", content="more", at=1)
    rig.intake.received(ADA, worker, Received(1, channel, [words]))
    assert await worker.answers.get() == Taken(1, ok=True)
    await rig.service.delete(channel)
    rig.intake.received(ADA, worker, Received(2, channel, [words]))
    assert await worker.answers.get() == Taken(2, ok=False)


class Answering:
    """A worker that remembers what it was asked."""

    def __init__(self) -> None:
        self.gateways: list[GatewayState] = []
        self.asked: asyncio.Queue[str] = asyncio.Queue()

    def send(self, message: msgspec.Struct) -> None:
        """Take a message of the daemon."""
        if isinstance(message, Perceive):
            for one in message.perceptions:
                self.asked.put_nowait(one.content)


async def test_what_was_in_hand_is_not_asked_again(rig: Rig) -> None:
    """The process that follows a removed channel does not get the turn that the old one had from there."""
    channel = await paired(rig)
    before, after = Answering(), Answering()
    rig.inbox.attach(ADA, before)
    assert await asyncio.wait_for(before.asked.get(), PATIENCE) == "hello"
    await rig.service.remove(ADA, rig.listed()[0]["name"])
    await rig.inbox.detach(ADA, crashed=False)
    rig.inbox.attach(ADA, after)
    await rig.inbox.accept(ADA, Conversation("web", ADA, "", ""), "text", "still here?")
    assert await asyncio.wait_for(after.asked.get(), PATIENCE) == "still here?"
    assert channel not in [item.conversation.channel for item in await rig.ledger.waiting(ADA)]
