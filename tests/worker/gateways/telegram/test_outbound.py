"""Her messages on Telegram, and the reports about them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proto.gateways import Delivered, PartSent, Say, Undelivered
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_people import Person
from tests.worker.gateways.telegram.channel import connected, opened
from worker.gateways.common.sending import MARK
from worker.gateways.common.splitting import utf16_units
from worker.gateways.telegram.outbound import MAX_MESSAGE


@pytest.fixture
def telegram() -> Iterator[TelegramEmulator]:
    """Telegram with one bot."""
    with TelegramEmulator() as emulator:
        emulator.add_bot(username="her_bot")
        yield emulator


@pytest.fixture
def person(telegram: TelegramEmulator) -> Person:
    """A person who has written to the bot, so that it may answer."""
    person = telegram.user(username="ann")
    person.start()
    return person


async def test_markdown_becomes_entities(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """Her Markdown is shown as formatting, links are not previewed, and the delivery is reported."""
    async with connected(telegram, tmp_path) as channel:
        channel.deliver("🙂 **yes**, see [this](https://example.org) and `code`", person.id)
        assert await channel.outcome() == Delivered(1)
    [message] = telegram.sent(person.id)
    assert message["text"] == "🙂 yes, see this and code"
    forms = [(e["type"], e["offset"], e["length"], e.get("url")) for e in message["entities"]]
    assert ("bold", 3, 3, None) in forms
    assert any(form[0] == "text_link" and form[3].startswith("https://example.org") for form in forms)
    assert forms[-1] == ("code", 21, 4, None)
    assert message["link_preview_options"] == {"is_disabled": True}


@pytest.mark.parametrize("text", ["**unbalanced *x _y `z [a](", "<b>& </i>", "1 < 2 & [x]", "---", "\\*", "```"])
async def test_markup_never_loses_a_message(
    telegram: TelegramEmulator, person: Person, tmp_path: Path, text: str
) -> None:
    """Telegram accepts whatever she writes."""
    async with connected(telegram, tmp_path) as channel:
        channel.deliver(text, person.id)
        assert await channel.outcome() == Delivered(1)
    assert telegram.sent(person.id)[0]["text"]


async def test_entities_that_telegram_refuses(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A text whose entities are refused is sent without them."""
    telegram.fail(400, "sendMessage", 1, description="Bad Request: can't parse entities: entity is odd")
    async with connected(telegram, tmp_path) as channel:
        channel.deliver("**still** said", person.id)
        assert await channel.outcome() == Delivered(1)
    [message] = telegram.sent(person.id)
    assert (message["text"], message.get("entities")) == ("still said", None)


async def test_long_messages_are_split(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A long text is sent in parts of at most 4,096 UTF-16 units, each reported, with nothing lost."""
    long_text = " ".join(f"🙂{number}" for number in range(1500))
    async with connected(telegram, tmp_path) as channel:
        channel.deliver(long_text, person.id)
        await channel.outcome()
    sent = [message["text"] for message in telegram.sent(person.id)]
    assert len(sent) == 3
    assert all(utf16_units(text) <= 4096 for text in sent)
    assert " ".join(sent) == long_text
    assert channel.reports == [PartSent(1, 1), PartSent(1, 2), Delivered(1)]


async def test_interrupted_delivery_goes_on(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """After an interruption the remaining parts follow, split in the same places, the doubtful one marked."""
    long_text = " ".join(f"{number}" for number in range(3000))
    async with connected(telegram, tmp_path) as channel:
        channel.deliver(long_text, person.id)
        await channel.outcome()
        channel.deliver(long_text, person.id, seq=2, parts_sent=1, ambiguous=True)
        assert await channel.outcome(2) == Delivered(2)
    sent = [message["text"] for message in telegram.sent(person.id)]
    whole, again = sent[: len(sent) // 2 + 1], sent[len(sent) // 2 + 1 :]
    assert again == [MARK + whole[1], *whole[2:]]
    assert all(utf16_units(text) <= 4096 for text in sent)


async def test_mark_moves_the_forms(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A repeated message is visibly marked, and its entities move with the text."""
    async with connected(telegram, tmp_path) as channel:
        channel.deliver("**yes** " + "x" * MAX_MESSAGE, person.id, ambiguous=True)
        await channel.outcome()
    first = telegram.sent(person.id)[0]
    assert first["text"].startswith("(perhaps repeated)\nyes")
    assert [(e["offset"], e["length"]) for e in first["entities"]] == [(len(MARK), 3)]


async def test_blocked(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A person who blocked the bot gets nothing more; the channel continues."""
    person.block()
    async with connected(telegram, tmp_path) as channel:
        channel.deliver("hello?", person.id)
        outcome = await channel.outcome()
        assert channel.gateway.state().state == "connected"
    assert isinstance(outcome, Undelivered)
    assert (outcome.permanent, outcome.blocked, outcome.ambiguous) == (True, True, False)


async def test_no_such_chat(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A chat that does not exist is a permanent failure, tried only once."""
    async with connected(telegram, tmp_path) as channel:
        channel.deliver("**hello?**", 12345)
        outcome = await channel.outcome()
    assert isinstance(outcome, Undelivered)
    assert (outcome.permanent, outcome.blocked) == (True, False)
    assert "chat not found" in outcome.reason
    assert len(telegram.calls("sendMessage")) == 1


async def test_flood(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """After a 429 the message goes back with Telegram's own wait, and the chat gets nothing until it is over."""
    telegram.fail(429, "sendMessage", 1, retry_after=300)
    async with connected(telegram, tmp_path) as channel:
        channel.deliver("now", person.id)
        first = await channel.outcome()
        channel.deliver("again", person.id, seq=2)
        second = await channel.outcome(2)
    assert isinstance(first, Undelivered)
    assert isinstance(second, Undelivered)
    assert first.retry_after == 300
    assert second.retry_after == pytest.approx(300, abs=2)
    assert len(telegram.calls("sendMessage")) == 1


@pytest.mark.parametrize(
    ("how", "ambiguous", "taken"), [("lose", True, 1), ("drop", True, 0), (502, True, 0), (500, True, 0)]
)
async def test_failed_sends(
    telegram: TelegramEmulator, person: Person, tmp_path: Path, how: int | str, ambiguous: bool, taken: int
) -> None:
    """A send that failed after the request was written is reported as ambiguous."""
    telegram.fail(how, "sendMessage")  # type: ignore[arg-type]  # the parameters are kinds of failures
    async with connected(telegram, tmp_path) as channel:
        channel.deliver("hello", person.id)
        outcome = await channel.outcome()
    assert isinstance(outcome, Undelivered)
    assert (outcome.permanent, outcome.ambiguous) == (False, ambiguous)
    assert len(telegram.sent(person.id)) == taken


async def test_refused_connection_is_not_ambiguous(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A refused connection is not ambiguous: nothing was taken."""
    async with connected(telegram, tmp_path) as channel:
        await asyncio.to_thread(telegram.down)
        await channel.in_state("degraded")
        channel.deliver("hello", person.id)
        outcome = await channel.outcome()
    assert isinstance(outcome, Undelivered)
    assert (outcome.permanent, outcome.ambiguous) == (False, False)


async def test_token_refused_at_a_send(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A 401 at a send stops the channel; the message itself waits for a new token."""
    telegram.fail(401, "sendMessage")
    async with connected(telegram, tmp_path) as channel:
        channel.deliver("hello", person.id)
        outcome = await channel.outcome()
        await channel.in_state("stopped")
    assert isinstance(outcome, Undelivered)
    assert (outcome.permanent, outcome.ambiguous) == (False, False)


async def test_not_connected_yet(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """Before the first round trip a delivery goes back to the outbox at once."""
    telegram.fail("hang", "getMe", None)
    async with opened(telegram, tmp_path) as channel:
        channel.deliver("hello", person.id)
        outcome = await channel.outcome()
        assert not telegram.calls("sendMessage")
    assert isinstance(outcome, Undelivered)
    assert "not connected" in outcome.reason
    assert (outcome.permanent, outcome.ambiguous) == (False, False)


@pytest.mark.parametrize(
    ("kind", "name", "method", "shown"),
    [
        ("audio", "said.ogg", "sendVoice", "voice"),
        ("image", "drawn.png", "sendPhoto", "photo"),
        ("audio", "said.wav", "sendDocument", "document"),
        ("image", "drawn.gif", "sendDocument", "document"),
    ],
)
async def test_files(
    telegram: TelegramEmulator, person: Person, tmp_path: Path, kind: str, name: str, method: str, shown: str
) -> None:
    """A file that she made is sent from her media folder as the right type, with its caption."""
    async with connected(telegram, tmp_path) as channel:
        channel.media.mkdir(exist_ok=True)
        (channel.media / name).write_bytes(b"OggS made by her")
        channel.deliver("for **you**", person.id, kind=kind, media=name)
        assert await channel.outcome() == Delivered(1)
    [message] = telegram.sent(person.id)
    assert telegram.calls(method)
    shown_file = message[shown][-1] if shown == "photo" else message[shown]
    assert telegram.file_data(shown_file["file_id"]) == b"OggS made by her"
    assert (message["caption"], message["caption_entities"][0]["type"]) == ("for you", "bold")


async def test_file_that_is_refused_as_a_photo(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A file that Telegram refuses as a photo is sent as a document."""
    telegram.fail(400, "sendPhoto", description="Bad Request: PHOTO_INVALID_DIMENSIONS")
    async with connected(telegram, tmp_path) as channel:
        channel.media.mkdir(exist_ok=True)
        (channel.media / "wide.png").write_bytes(b"OggS made by her")
        channel.deliver("wide", person.id, kind="image", media="wide.png")
        assert await channel.outcome() == Delivered(1)
    assert telegram.sent(person.id)[0]["document"]


async def test_long_caption_follows_its_file(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A text that is too long for a caption follows the file."""
    async with connected(telegram, tmp_path) as channel:
        channel.media.mkdir(exist_ok=True)
        (channel.media / "drawn.png").write_bytes(b"OggS made by her")
        channel.deliver("long " * 300, person.id, kind="image", media="drawn.png")
        assert await channel.outcome() == Delivered(1)
    picture, text = telegram.sent(person.id)
    assert "caption" not in picture
    assert text["text"] == ("long " * 300).strip()


async def test_missing_file(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A file that is gone is a permanent failure with a reason."""
    async with connected(telegram, tmp_path) as channel:
        channel.deliver("look", person.id, kind="image", media="gone.png")
        outcome = await channel.outcome()
    assert isinstance(outcome, Undelivered)
    assert outcome.permanent
    assert "No such file" in outcome.reason


async def test_pace(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """Her messages are paced so that Telegram's flood control refuses none of them."""
    telegram.flood()
    async with connected(telegram, tmp_path) as channel:
        started = time.monotonic()
        for seq in range(5):
            channel.deliver(f"message {seq}", person.id, seq=seq)
        for seq in range(5):
            assert await channel.outcome(seq) == Delivered(seq)
        assert time.monotonic() - started > 1.5
    assert {call.status for call in telegram.calls("sendMessage")} == {200}


async def test_typing_takes_no_message_s_place(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """Typing is shown while the rate limit leaves room, and skipped when it does not."""
    async with connected(telegram, tmp_path) as channel:
        for _ in range(10):
            channel.gateway.typing(str(person.id))
        await telegram.until_called("sendChatAction", 2)
        channel.deliver("done", person.id)
        await channel.outcome()
    assert telegram.actions(person.id) == ["typing", "typing"]


async def test_typing_that_fails_is_counted(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A failure to show typing has no other effect."""
    telegram.fail(500, "sendChatAction")
    async with connected(telegram, tmp_path) as channel:
        channel.gateway.typing(str(person.id))
        await telegram.until_called("sendChatAction")
        channel.deliver("done", person.id)
        assert await channel.outcome() == Delivered(1)
        assert "gateway.typing_failed" in channel.log()


async def test_say(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A text that is not stored is sent unchanged, and its outcome is not reported."""
    async with connected(telegram, tmp_path) as channel:
        channel.gateway.say(Say(channel.gateway.channel, str(person.id), "Your code: **AB12CD**"))
        [message] = await telegram.until_sent(person.id)
        assert channel.reports == []
    assert message["text"] == "Your code: **AB12CD**"
