"""Her words on Telegram while she is still writing them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from proto.conversation import Conversation
from proto.gateways import Delivered
from proto.streaming import Delta
from tests.emulators.telegram import DRAFT_LASTS, TelegramEmulator
from tests.emulators.telegram_people import Person
from tests.patience import PATIENCE
from tests.worker.gateways.channel import Channel
from tests.worker.gateways.telegram.channel import connected
from worker.gateways.common.splitting import utf16_units


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


def says(channel: Channel, text: str, chat: int | str, *, turn: int = 1, offset: int = 0, aloud: bool = False) -> None:
    """Let her say the next words of a turn."""
    where = Conversation("telegram", "telegram", channel.gateway.channel, str(chat))
    channel.gateway.drafting(Delta(turn, where, offset, text, aloud))


async def test_words_appear_and_one_message_follows(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A person sees her words with their formatting while she writes them; the one message takes the draft away."""
    async with connected(telegram, tmp_path) as channel:
        says(channel, "The fern needs **wat", person.id)
        await telegram.until_drafted(person.id, "**wat")
        assert telegram.draft(person.id) == "The fern needs **wat"
        assert telegram.sent(person.id) == []
        says(channel, "er** now.", person.id, offset=20)
        await telegram.until_drafted(person.id, "The fern needs water now.")
        channel.gateway.drafts.end(1)
        channel.deliver("The fern needs **water** now.", person.id)
        assert await channel.outcome() == Delivered(1)
    assert [message["text"] for message in telegram.sent(person.id)] == ["The fern needs water now."]
    assert telegram.draft(person.id) is None
    shown = [draft for draft in telegram.world.drafts if draft.chat_id == person.id]
    assert len({draft.draft_id for draft in shown}) == 1
    assert [entity["type"] for entity in shown[-1].entities] == ["bold"]


@pytest.mark.parametrize(
    "text", ["**bold *x _y `z [a](", "```py\nfor x in", "| a | b |\n|--", "> - 1. ![", "&<b>", "*"]
)
async def test_half_of_a_markup_is_no_fault(
    telegram: TelegramEmulator, person: Person, tmp_path: Path, text: str
) -> None:
    """Telegram takes a draft whose markup is not closed yet."""
    async with connected(telegram, tmp_path) as channel:
        says(channel, text, person.id)
        await telegram.until_called("sendMessageDraft")
        await telegram.until(lambda: telegram.calls("sendMessageDraft")[0].status == 200, what="an accepted draft")


async def test_a_long_answer_shows_the_part_that_she_writes(
    telegram: TelegramEmulator, person: Person, tmp_path: Path
) -> None:
    """Of an answer that needs several messages, the draft shows the one that is being written."""
    text = " ".join(f"🙂{number}" for number in range(1500))
    async with connected(telegram, tmp_path) as channel:
        says(channel, text, person.id)
        await telegram.until_drafted(person.id, "🙂1499")
    [draft] = telegram.drafts(person.id)
    assert utf16_units(draft) <= 4096
    assert text.endswith(draft)


async def test_a_topic_keeps_its_drafts(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """Words of a topic in a private chat are shown in that topic."""
    telegram.world.chats[person.id].topics.add(77)
    async with connected(telegram, tmp_path) as channel:
        says(channel, "in the topic", f"{person.id}:77")
        await telegram.until_drafted(person.id, "in the topic")
    assert [draft.topic for draft in telegram.world.drafts] == [77]


@pytest.mark.parametrize(
    ("status", "description"),
    [
        (400, "Bad Request: TEXTDRAFT_PEER_INVALID"),
        (403, "Forbidden: bot was blocked by the user"),
        (404, "Not Found: method not found"),
    ],
)
async def test_a_refused_draft_changes_nothing(
    telegram: TelegramEmulator, person: Person, tmp_path: Path, status: int, description: str
) -> None:
    """Where Telegram refuses drafts she says everything at once, as without them, and does not ask again."""
    telegram.fail(status, "sendMessageDraft", None, description=description)
    async with connected(telegram, tmp_path) as channel:
        for turn in (1, 2):
            says(channel, "words", person.id, turn=turn)
            await telegram.until_called("sendMessageDraft")
            channel.gateway.drafts.end(turn)
            channel.deliver(f"answer {turn}", person.id, seq=turn)
            assert await channel.outcome(turn) == Delivered(turn)
        assert {state.state for state in channel.states} == {"connected"}
        assert channel.log().count("gateway.drafts_off") == 1
    assert [message["text"] for message in telegram.sent(person.id)] == ["answer 1", "answer 2"]
    assert len(telegram.calls("sendMessageDraft")) == 1


async def test_a_rate_limit_of_drafts_holds_no_message(
    telegram: TelegramEmulator, person: Person, tmp_path: Path
) -> None:
    """A 429 for a draft rests the drafts of that chat; the answer is sent at once."""
    telegram.fail(429, "sendMessageDraft", None, retry_after=3600)
    async with connected(telegram, tmp_path) as channel:
        says(channel, "words", person.id)
        await telegram.until_called("sendMessageDraft")
        channel.gateway.drafts.end(1)
        channel.deliver("answer", person.id)
        assert await channel.outcome() == Delivered(1)
    assert [message["text"] for message in telegram.sent(person.id)] == ["answer"]


async def test_a_draft_that_hangs_holds_no_message(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A message waits a moment for the draft on its way, and then gives that up."""
    telegram.fail("hang", "sendMessageDraft")
    async with connected(telegram, tmp_path) as channel:
        says(channel, "words", person.id)
        await telegram.until_called("sendMessageDraft")
        channel.gateway.drafts.end(1)
        channel.deliver("answer", person.id)
        assert await channel.outcome() == Delivered(1)
        assert telegram.draft(person.id) is None


async def test_a_process_that_dies_leaves_nothing(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A gateway that ends in the middle has sent no message; its draft goes by itself, and the next answers once."""
    async with connected(telegram, tmp_path) as channel:
        says(channel, "half an ans", person.id)
        await telegram.until_drafted(person.id, "half an ans")
    assert telegram.sent(person.id) == []
    assert telegram.draft(person.id, at=telegram.world.drafts[-1].at + DRAFT_LASTS + 1) is None
    async with connected(telegram, tmp_path) as channel:
        channel.deliver("half an answer and the other half", person.id)
        assert await channel.outcome() == Delivered(1)
    assert [message["text"] for message in telegram.sent(person.id)] == ["half an answer and the other half"]
    assert telegram.draft(person.id) is None


async def test_an_answer_with_a_file(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """The words that go with a picture are shown before it, too, and are sent once, as its caption."""
    async with connected(telegram, tmp_path) as channel:
        channel.media.mkdir(parents=True, exist_ok=True)
        (channel.media / "fern.png").write_bytes(b"\x89PNG\r\n\x1a\n picture")
        says(channel, "Here is the fern.", person.id)
        await telegram.until_drafted(person.id, "Here is the fern.")
        channel.gateway.drafts.end(1)
        channel.deliver("Here is the fern.", person.id, kind="image", media="fern.png")
        assert await channel.outcome() == Delivered(1)
    [message] = telegram.sent(person.id)
    assert (message["caption"], "text" in message) == ("Here is the fern.", False)
    assert telegram.draft(person.id) is None


async def test_what_gets_no_draft(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """No draft comes in a group, of an answer that will be spoken, or of a message that is no answer."""
    group = telegram.group("friends")
    async with connected(telegram, tmp_path) as channel:
        says(channel, "to all", group.id, turn=1)
        says(channel, "aloud", person.id, turn=2, aloud=True)
        channel.deliver("good morning", person.id, seq=1)
        assert await channel.outcome(1) == Delivered(1)
        # This draft is asked for last, so any other one would have come before it.
        says(channel, "last", person.id, turn=3)
        await telegram.until_drafted(person.id, "last")
    assert [call.params["text"] for call in telegram.calls("sendMessageDraft")] == ["last"]


async def test_typing_gives_way_to_words(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """Right after her words, typing would say nothing more, and take what the next draft and a message need."""
    telegram.flood()
    async with connected(telegram, tmp_path) as channel:
        says(channel, "words", person.id)
        async with asyncio.timeout(PATIENCE):
            while not channel.gateway.drafts.shows(str(person.id)):  # noqa: ASYNC110  nothing tells that it was taken
                await asyncio.sleep(0.01)
        assert channel.gateway.sender.budget.until_spare(str(person.id)) == 0.0
        channel.gateway.typing(str(person.id))
        channel.gateway.drafts.end(1)
        channel.deliver("words and more", person.id)
        assert await channel.outcome() == Delivered(1)
    assert telegram.actions(person.id) == []


async def test_a_slow_draft_does_not_outlive_the_message(
    telegram: TelegramEmulator, person: Person, tmp_path: Path
) -> None:
    """A message follows the draft on its way, so that Telegram takes that away, too."""
    telegram.fail("slow", "sendMessageDraft", seconds=0.3)
    async with connected(telegram, tmp_path) as channel:
        says(channel, "words", person.id)
        await telegram.until_called("sendMessageDraft")
        channel.gateway.drafts.end(1)
        channel.deliver("words and more", person.id)
        assert await channel.outcome() == Delivered(1)
        await telegram.until_drafted(person.id, "words")
    assert telegram.draft(person.id) is None


@pytest.mark.parametrize("topic", ["", ":77"])
async def test_the_button_below_a_draft(telegram: TelegramEmulator, person: Person, tmp_path: Path, topic: str) -> None:
    """Her person stops the answer with Telegram's own button, as with /hush."""
    telegram.world.chats[person.id].topics.add(77)
    async with connected(telegram, tmp_path) as channel:
        says(channel, "words", f"{person.id}{topic}")
        await telegram.until_drafted(person.id, "words")
        person.stop_draft()
        await channel.first(2)
    item = channel.items[-1]
    assert (item.command, item.account, item.chat, item.private) == (
        "hush",
        str(person.id),
        f"{person.id}{topic}",
        True,
    )


async def test_visitors_have_drafts_without_a_button(
    telegram: TelegramEmulator, person: Person, tmp_path: Path
) -> None:
    """On an open channel a stranger sees her words, too, but cannot give commands."""
    async with connected(telegram, tmp_path, is_open=True) as channel:
        says(channel, "words", person.id)
        await telegram.until_drafted(person.id, "words")
    assert [draft.can_stop for draft in telegram.world.drafts] == [False]
    assert telegram.calls("getUpdates")[-1].params["allowed_updates"] == '["message", "edited_message"]'
