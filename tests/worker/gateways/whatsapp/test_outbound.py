"""Her messages over WhatsApp's Cloud API, the reports about them, and the channel's state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from proto.gateways import Delivered, Identified, Identify, Undelivered
from proto.secrets import Secret
from tests.emulators.meta import MetaEmulator
from tests.worker.gateways.whatsapp.channel import ANN, OURS, credentials, opened
from worker.gateways.common.sending import MARK
from worker.gateways.identify import identify


@pytest.fixture
def meta() -> Iterator[MetaEmulator]:
    """A WhatsApp account with one number."""
    with MetaEmulator() as emulator:
        yield emulator


async def test_texts(meta: MetaEmulator, tmp_path: Path) -> None:
    """A text is sent without markup or preview, a long one in few parts, a doubtful one marked."""
    text = " ".join(str(number) for number in range(1500))
    async with opened(meta, tmp_path) as channel:
        await channel.in_state("connected")
        channel.deliver("**yes**, see [this](https://example.org)", int(ANN))
        assert await channel.outcome() == Delivered(1, meta.sent[0]["id"])
        channel.deliver(text, int(ANN), seq=2)
        await channel.outcome(2)
        channel.deliver("maybe", int(ANN), seq=3, ambiguous=True)
        await channel.outcome(3)
    assert meta.sent[0]["text"] == {"preview_url": False, "body": "yes, see this (https://example.org)"}
    assert meta.sent[0]["to"] == ANN
    assert [len(one["text"]["body"]) <= 4096 for one in meta.sent[1:3]] == [True, True]
    assert " ".join(one["text"]["body"] for one in meta.sent[1:3]) == text
    assert meta.sent[3]["text"]["body"] == MARK + "maybe"


async def test_voice_and_pictures(meta: MetaEmulator, tmp_path: Path) -> None:
    """A file that she made is uploaded first; a picture has its text as caption, a voice message speaks it."""
    async with opened(meta, tmp_path) as channel:
        await channel.in_state("connected")
        channel.media.mkdir()
        (channel.media / "v.ogg").write_bytes(b"OggS")
        (channel.media / "p.png").write_bytes(b"png!")
        channel.deliver("spoken", int(ANN), kind="audio", media="v.ogg")
        await channel.outcome()
        channel.deliver("A cat.", int(ANN), seq=2, kind="image", media="p.png")
        await channel.outcome(2)
        channel.deliver("A cat.", int(ANN), seq=3, kind="image", media="gone.png")
        gone = await channel.outcome(3)
    voice, picture = meta.sent
    assert (voice["type"], meta.media[voice["audio"]["id"]]) == ("audio", ("audio/ogg", b"OggS"))
    assert (picture["image"]["caption"], meta.media[picture["image"]["id"]]) == ("A cat.", ("image/png", b"png!"))
    assert getattr(gone, "permanent", False)


@pytest.mark.parametrize(
    ("code", "status", "permanent", "blocked", "state"),
    [
        (131047, 400, True, True, "connected"),
        (131026, 400, True, False, "connected"),
        (100, 400, True, False, "connected"),
        (130429, 429, False, False, "connected"),
        (131056, 400, False, False, "connected"),
        (2, 500, False, False, "connected"),
        (131000, 500, False, False, "connected"),
        (613, 400, False, False, "connected"),
        (1, 400, False, False, "connected"),
        (4242, 400, False, False, "connected"),
        (190, 401, False, False, "stopped"),
        (10, 403, False, False, "stopped"),
        (33, 400, False, False, "stopped"),
    ],
)
async def test_error_codes(
    meta: MetaEmulator, tmp_path: Path, code: int, status: int, permanent: bool, blocked: bool, state: str
) -> None:
    """Each error code ends a message, a person's messages or the channel, or passes."""
    meta.fail("POST", "/messages", status=status, code=code)
    async with opened(meta, tmp_path) as channel:
        await channel.in_state("connected")
        channel.deliver("hello", int(ANN))
        outcome = await channel.outcome()
        assert isinstance(outcome, Undelivered)
        assert channel.gateway.state().state == state
    assert (outcome.permanent, outcome.blocked) == (permanent, blocked)
    assert (outcome.retry_after > 0) == (code in (130429, 131056, 2, 613))
    assert (outcome.ambiguous, outcome.tries) == (status >= 500, 8 if code in (1, 4242) else 0)
    if code == 190:
        assert "system user" in channel.states[-1].hint
        assert channel.states[-1].error_class == "credential"


async def test_read_and_typing(meta: MetaEmulator, tmp_path: Path) -> None:
    """Committed messages are marked as read, and typing is shown now and then."""
    async with opened(meta, tmp_path) as channel:
        await channel.in_state("connected")
        message = meta.message(ANN, body="hello")
        number = channel.webhook(meta.batch(message), "application/json")
        await channel.until(lambda: number in channel.webhooks_done or None)
        channel.gateway.typing(ANN)
        channel.gateway.typing(ANN)
        channel.deliver("hi", int(ANN))
        await channel.outcome()
        channel.deliver("hi", int(ANN), seq=2)
        await channel.outcome(2)
    assert {mark["message_id"] for mark in meta.read} == {message["id"]}
    assert sum("typing_indicator" in mark for mark in meta.read) == 1


async def test_an_answer_that_is_lost(meta: MetaEmulator, tmp_path: Path) -> None:
    """A send whose answer is lost is reported as ambiguous."""
    meta.fail("POST", "/messages", trouble="lost")
    async with opened(meta, tmp_path) as channel:
        await channel.in_state("connected")
        channel.deliver("hello", int(ANN))
        outcome = await channel.outcome()
    assert isinstance(outcome, Undelivered)
    assert (outcome.ambiguous, outcome.permanent) == (True, False)


async def test_whose_number(meta: MetaEmulator) -> None:
    """The token is checked, and its number is compared with the configured one."""

    async def ask(phone: str, **wrong: str) -> Identified:
        return await identify(
            Identify("whatsapp", Secret(phone), {"whatsapp": meta.url}, phone, credentials(meta, **wrong))
        )

    assert await ask(OURS) == Identified(OURS[1:], "Hers")
    assert "+1 500-555-0007, not +15005550001" in (await ask("+15005550001")).reason
    assert "system user" in (await ask(OURS, access_token="old")).reason
    assert "no app secret" in (await ask(OURS, app_secret="")).reason
    assert "WhatsApp manager" in (await ask(OURS, phone_number_id="404")).reason


@pytest.mark.parametrize(
    ("wrong", "expected", "error_class"),
    [
        ({"access_token": "old"}, "system user", "credential"),
        ({"webhook": ""}, "hooks.public_url", "config"),
        ({"phone": "+15005550001"}, "phone_number_id", "config"),
        ({"verify_token": ""}, "Add it to the account", "config"),
        ({"phone_number_id": "404"}, "WhatsApp manager", "config"),
    ],
)
async def test_what_stops_it(
    meta: MetaEmulator, tmp_path: Path, wrong: dict[str, str], expected: str, error_class: str
) -> None:
    """A channel that cannot work says what to do, and still reads the requests that were committed for it."""
    async with opened(meta, tmp_path, **wrong) as channel:
        stopped = await channel.in_state("stopped")
        body = meta.batch(meta.message(ANN, body="still"), number_id=wrong.get("phone_number_id", ""))
        number = channel.webhook(body, "application/json")
        await channel.until(lambda: number in channel.webhooks_done or None)
    assert expected in f"{stopped.error} {stopped.hint}"
    assert stopped.error_class == error_class
    assert channel.texts == ["still"]
