"""Her messages through Twilio, and the reports about them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proto.gateways import Delivered, PartSent, Undelivered
from tests.emulators.twilio import TwilioEmulator
from tests.worker.gateways.twilio.channel import ANN, OURS, opened, webhook
from worker.gateways.common.sending import MARK

WEBHOOK = "https://hooks.example.org/hooks/0123456789abcdef"


@pytest.fixture
def twilio() -> Iterator[TwilioEmulator]:
    """An account with one number."""
    with TwilioEmulator(OURS) as emulator:
        yield emulator


def now() -> int:
    """Return a message's number: the microsecond in which she wrote it."""
    return time.time_ns() // 1000


async def test_plain_and_cheap(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """Markdown is stripped."""
    async with opened(twilio, tmp_path) as channel:
        await channel.in_state("connected")
        channel.deliver("**Yes** \u2013 it\u2019s [here](https://example.org) \U0001f642\u2026", int(ANN))
        outcome = await channel.outcome()
        channel.deliver("It\u2019s " + "long " * 30, int(ANN), seq=2)
        await channel.outcome(2)
    bodies = [message["body"] for message in twilio.sent]
    assert bodies == [
        "Yes \u2013 it\u2019s here (https://example.org) \U0001f642\u2026",
        "It's " + "long " * 29 + "long",
    ]
    assert outcome == Delivered(1, twilio.sent[0]["sid"])
    assert {(message["from"], message["to"]) for message in twilio.sent} == {(OURS, ANN)}


async def test_whatsapp(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """WhatsApp has its own addresses and takes every character; a status callback is requested."""
    async with opened(twilio, tmp_path, kind="whatsapp", webhook=WEBHOOK) as channel:
        await channel.in_state("connected")
        channel.deliver("it\u2019s *so*", int(ANN))
        await channel.outcome()
    [message] = twilio.sent
    assert (message["from"], message["to"]) == (f"whatsapp:{OURS}", f"whatsapp:{ANN}")
    assert message["body"] == "it\u2019s so"
    assert twilio.callbacks == {message["sid"]: WEBHOOK}


async def test_long_texts_and_pictures(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """A long text is sent in parts of at most 1,600 characters; a picture has no public URL, so a note replaces it."""
    text = " ".join(str(number) for number in range(700))
    async with opened(twilio, tmp_path) as channel:
        await channel.in_state("connected")
        channel.deliver(text, int(ANN))
        await channel.outcome()
        channel.deliver("A cat.", int(ANN), seq=2, kind="image", media="cat.png")
        await channel.outcome(2)
    bodies = [message["body"] for message in twilio.sent]
    assert " ".join(bodies[:2]) == text
    assert all(len(body) <= 1600 for body in bodies)
    assert channel.reports[0] == PartSent(1, 1)
    assert bodies[2:] == ["A cat.", "(This came with a picture that cannot be sent here.)"]


async def test_what_was_sent_already_is_not_sent_again(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """A send whose answer was lost is looked up before it is repeated; if it is not found, the repetition is marked."""
    seq = now()
    async with opened(twilio, tmp_path) as channel:
        await channel.in_state("connected")
        twilio.fail("POST", "Messages.json", trouble="lost")
        channel.deliver("only once", int(ANN), seq=seq)
        doubtful = await channel.outcome(seq)
        assert isinstance(doubtful, Undelivered)
        assert (doubtful.ambiguous, doubtful.permanent) == (True, False)
        channel.reports.clear()
        channel.deliver("only once", int(ANN), seq=seq, ambiguous=True)
        assert await channel.outcome(seq) == Delivered(seq, twilio.sent[0]["sid"])
        channel.deliver("never came", int(ANN), seq=seq + 1, ambiguous=True)
        await channel.outcome(seq + 1)
    assert [message["body"] for message in twilio.sent] == ["only once", MARK + "never came"]


@pytest.mark.parametrize(
    ("code", "status", "permanent", "blocked"),
    [(21610, 400, True, True), (21211, 400, True, False), (21408, 400, True, False), (99999, 400, True, False)],
)
async def test_refused_for_one_person(
    twilio: TwilioEmulator, tmp_path: Path, code: int, status: int, permanent: bool, blocked: bool
) -> None:
    """A refusal that concerns one person ends that message, or all open ones for that person, but not the channel."""
    twilio.fail("POST", "Messages.json", status=status, code=code)
    async with opened(twilio, tmp_path) as channel:
        await channel.in_state("connected")
        channel.deliver("hello", int(ANN))
        outcome = await channel.outcome()
        assert channel.gateway.state().state == "connected"
    assert isinstance(outcome, Undelivered)
    assert (outcome.permanent, outcome.blocked, outcome.ambiguous) == (permanent, blocked, False)
    assert str(code) in outcome.reason


async def test_throttled(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """After a rate limit a message waits as long as Twilio asks."""
    twilio.fail("POST", "Messages.json", status=429, code=20429, retry_after=7)
    async with opened(twilio, tmp_path) as channel:
        await channel.in_state("connected")
        channel.deliver("hello", int(ANN))
        outcome = await channel.outcome()
    assert isinstance(outcome, Undelivered)
    assert (outcome.retry_after, outcome.permanent, outcome.ambiguous) == (7, False, False)


async def test_a_number_that_cannot_send(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """A fault of the number stops the channel, unless the number has sent messages before."""
    async with opened(twilio, tmp_path) as channel:
        await channel.in_state("connected")
        channel.deliver("hello", int(ANN))
        await channel.outcome(1)
        twilio.fail("POST", "Messages.json", status=400, code=21606)
        channel.deliver("hello", 15550000001, seq=2)
        assert getattr(await channel.outcome(2), "permanent", False)
        assert channel.gateway.state().state == "connected"
    twilio.fail("POST", "Messages.json", status=400, code=21606)
    async with opened(twilio, tmp_path) as channel:
        await channel.in_state("connected")
        channel.deliver("hello", int(ANN))
        stopped = await channel.in_state("stopped")
    assert (stopped.error_class, "21606" in stopped.error, bool(stopped.hint)) == ("config", True, True)


async def test_receipts_by_callback(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """WhatsApp accepts a message after its 24 hours, and reports only later that it was not delivered."""
    async with opened(twilio, tmp_path, kind="whatsapp", webhook=WEBHOOK) as channel:
        await channel.in_state("connected")
        channel.deliver("are you there?", int(ANN))
        delivered = await channel.outcome()
        assert isinstance(delivered, Delivered)
        webhook(channel, twilio.settle(delivered.provider_id, "sent"))
        number = webhook(channel, twilio.settle(delivered.provider_id, "undelivered", 63016))
        await channel.until(lambda: number in channel.webhooks_done or None)
    [receipt] = channel.receipts
    assert (receipt.provider_id, receipt.error_class) == (delivered.provider_id, "recipient")
    assert "24 hours" in receipt.error
    assert "63016" in receipt.error


async def test_receipts_by_polls(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """Without a public address no callback comes, so failures are read from the list."""
    async with opened(twilio, tmp_path) as channel:
        await channel.in_state("connected")
        channel.deliver("are you there?", int(ANN))
        delivered = await channel.outcome()
        assert isinstance(delivered, Delivered)
        twilio.settle(delivered.provider_id, "undelivered", 30003)
        [receipt] = await channel.until(lambda: channel.receipts or None)
    assert (receipt.provider_id, "cannot be reached" in receipt.error) == (delivered.provider_id, True)


async def test_messaging_service(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """An account with a messaging service sends through it."""
    async with opened(twilio, tmp_path, messaging_service_sid="MG1") as channel:
        await channel.in_state("connected")
        channel.deliver("hello", int(ANN))
        await channel.outcome()
    [call] = twilio.called("POST", "Messages.json")
    assert call.body["MessagingServiceSid"] == "MG1"
    assert "From" not in call.body
