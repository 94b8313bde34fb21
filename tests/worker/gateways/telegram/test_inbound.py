"""Messages to a Telegram bot, as the daemon gets them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from proto.gateways import Inbound, Revision, digest
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_people import Person
from tests.worker.gateways.telegram.channel import connected, opened

PHOTO = b"\xff\xd8\xff\xe0 a photo"


@pytest.fixture
def telegram() -> Iterator[TelegramEmulator]:
    """Telegram with one bot."""
    with TelegramEmulator() as emulator:
        emulator.add_bot(username="her_bot")
        yield emulator


@pytest.fixture
def person(telegram: TelegramEmulator) -> Person:
    """A person with a Telegram account."""
    return telegram.user(username="ann")


async def test_text(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A text arrives with its key, the sender's id and name, and Telegram's time."""
    async with connected(telegram, tmp_path) as channel:
        posted = person.write("hello there")
        [item] = await channel.first()
    assert item.revision == Revision(str(posted.message_id), digest("hello there"))
    item.revision = None
    assert item == Inbound(
        key=str(posted.update_id),
        account=str(person.id),
        account_name="ann",
        chat=str(person.id),
        private=True,
        kind="text",
        content="hello there",
        at=posted.message["date"] * 1_000_000_000,
    )


async def test_offset_moves_only_after_commit(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A message that was not committed is offered again, and is confirmed only after the commit."""
    posted = person.write("keep me")
    async with opened(telegram, tmp_path) as channel:
        channel.refusals = 2
        [item] = await channel.first()
        assert item.content == "keep me"
        confirmed = str((posted.update_id or 0) + 1)
        await telegram.until(lambda: telegram.calls("getUpdates")[-1].params.get("offset") == confirmed)
        polls = telegram.calls("getUpdates")
    assert [poll.params.get("offset") for poll in polls] == [None, confirmed]
    assert len(channel.offers) == 3


async def test_waiting_messages_come_at_once_and_in_order(
    telegram: TelegramEmulator, person: Person, tmp_path: Path
) -> None:
    """Messages written while nobody polled arrive in one batch, oldest first."""
    for word in ("one", "two", "three"):
        person.write(word)
    async with opened(telegram, tmp_path) as channel:
        await channel.first(3)
    assert [[item.content for item in batch] for batch in channel.batches] == [["one", "two", "three"]]


@pytest.mark.parametrize(
    ("sent", "name", "kind", "extension"),
    [
        ("photo", "", "image", ".jpg"),
        ("voice", "", "audio", ".ogg"),
        ("audio", "Song.MP3", "audio", ".mp3"),
        ("video_note", "", "audio", ".m4a"),
        ("document", "notes.pdf", "document", ".pdf"),
        ("document", "cat.png", "image", ".png"),
        ("document", "talk.wav", "audio", ".wav"),
    ],
)
async def test_files_go_to_their_perception(
    telegram: TelegramEmulator, person: Person, tmp_path: Path, sent: str, name: str, kind: str, extension: str
) -> None:
    """When a message arrives, its file is complete in the media folder, under our own name, with its caption."""
    data = PHOTO if sent == "photo" else b"some bytes" * 100_000
    async with connected(telegram, tmp_path, account=str(person.id)) as channel:
        posted = person.send(sent, data, caption="look", name=name)  # type: ignore[arg-type]  # the parameters are kinds
        [item] = await channel.first()
        assert item.media
        assert (item.kind, Path(item.media).suffix) == (kind, extension)
        assert item.media.startswith("telegram-")
        assert f"-{posted.update_id}." in item.media
        assert item.content.endswith("look")
        assert item.title == name
        assert (channel.media / item.media).read_bytes() == data
        assert [path.name for path in channel.media.iterdir()] == [item.media]


async def test_largest_photo(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """The largest size of a photo is fetched, and the message's text is its caption."""
    async with connected(telegram, tmp_path, account=str(person.id)) as channel:
        posted = person.send("photo", PHOTO, caption="just this")
        [item] = await channel.first()
        largest = max(posted.message["photo"], key=lambda size: size["width"])
        assert telegram.calls("getFile")[0].params["file_id"] == largest["file_id"]
    assert item.content == "just this"


async def test_file_over_the_limit(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A file over Telegram's limit arrives as a text that says what it was and names the limit."""
    async with connected(telegram, tmp_path, account=str(person.id)) as channel:
        person.send("document", b"x", name="film.pdf", caption="mind this", size=31 * 1_048_576)
        [item] = await channel.first()
    assert (item.kind, item.media) == ("text", None)
    assert 'a file named "film.pdf" of 31.0 MB' in item.content
    assert "20 MB" in item.content
    assert item.content.endswith("\nmind this")


async def test_file_that_cannot_be_fetched(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A file that cannot be fetched arrives as a text with the reason; after a single failure it is fetched."""
    async with connected(telegram, tmp_path, account=str(person.id)) as channel:
        telegram.fail("drop", "file", 1)
        person.send("voice", b"first")
        await channel.first(1)
        telegram.fail(500, "file", None)
        person.send("voice", b"second")
        first, second = await channel.first(2)
    assert first.media
    assert (second.kind, second.media) == ("text", None)
    assert "a voice message" in second.content
    assert "answers 500" in second.content


async def test_extension_that_no_perception_claims(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A file that no perception takes is described and not fetched."""
    async with connected(telegram, tmp_path) as channel:
        person.send("document", b"PK", name="things.zip", caption="unpack")
        [item] = await channel.first()
        assert not telegram.calls("getFile")
    assert item.kind == "text"
    assert '"things.zip", which cannot be perceived' in item.content
    assert item.content.endswith("\nunpack")


async def test_album_is_one_burst(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """Photos sent together arrive in one batch, in order, even if the poll returned only the first one."""
    async with connected(telegram, tmp_path, account=str(person.id)) as channel:
        person.send("photo", PHOTO + b"1", caption="three of them", album="77")
        await telegram.until(
            lambda: [c for c in telegram.calls("getUpdates") if c.params["timeout"] == "2" and c.status]
        )
        for last in (b"2", b"3"):
            person.send("photo", PHOTO + last, album="77")
        await channel.first(3)
        [batch] = channel.batches
        assert [(channel.media / (item.media or "")).read_bytes()[-1:] for item in batch] == [b"1", b"2", b"3"]
    assert [item.content for item in batch] == ["three of them", "", ""]


async def test_edited(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A correction arrives as a separate message that says so, and is never a command."""
    async with connected(telegram, tmp_path) as channel:
        posted = person.write("at five")
        person.edit(posted, "at six")
        person.edit(posted, "/stop")
        first, second, third = await channel.first(3)
    assert len({first.key, second.key, third.key}) == 3
    assert "corrected" in second.content
    assert second.content.endswith("\nat six")
    assert third.command is None


@pytest.mark.parametrize(
    ("text", "command", "content"),
    [
        ("/start", "start", ""),
        ("/start AB12CD", "start", "AB12CD"),
        ("/Hello@Her_Bot", "hello", ""),
        ("/stop@another_bot now", None, "/stop@another_bot now"),
        ("please /stop", None, "please /stop"),
        ("/weather in  Bern", "weather", "in  Bern"),
    ],
)
async def test_commands(
    telegram: TelegramEmulator, person: Person, tmp_path: Path, text: str, command: str | None, content: str
) -> None:
    """A command is at the start of a message and addressed to this bot; its argument is the content."""
    async with connected(telegram, tmp_path) as channel:
        person.write(text)
        [item] = await channel.first()
    assert (item.command, item.content) == (command, content)


async def test_groups_are_only_counted(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A message in a group is passed on without its text and files."""
    group = telegram.group("friends")
    async with connected(telegram, tmp_path) as channel:
        person.write("/hello@her_bot secret words", chat=group)
        [item] = await channel.first()
    assert (item.private, item.content, item.command, item.chat) == (False, "", None, str(group.id))


async def test_files_of_strangers_are_not_fetched(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """On a paired channel only the paired account's files are fetched."""
    async with connected(telegram, tmp_path, account=str(person.id)) as channel:
        telegram.user(username="mallory").send("photo", PHOTO)
        person.send("photo", PHOTO)
        theirs, hers = await channel.first(2)
    assert (theirs.kind, theirs.media) == ("text", None)
    assert hers.media


async def test_quotes_and_links_are_read(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """She reads the quoted text of a reply and the address behind a link."""
    bot = telegram.bot()
    async with connected(telegram, tmp_path) as channel:
        asked = person.write("which day?")
        person.write("that one", reply_to=asked.message_id)
        link = {"type": "text_link", "offset": 3, "length": 4, "url": "https://example.org/x"}
        telegram.world.push(bot, "message", {**asked.message, "text": "🙂 here it is", "entities": [link]})
        _, answer, linked = await channel.first(3)
    assert answer.content == '(In answer to their own words: "which day?")\nthat one'
    assert linked.content == "🙂 here (https://example.org/x) it is"


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"sticker": {"file_id": "a", "file_unique_id": "b", "type": "regular", "width": 1, "height": 1,
                      "is_animated": False, "is_video": False, "emoji": "🎉"}}, "a sticker that stands for 🎉"),
        ({"location": {"latitude": 46.9, "longitude": 7.4}}, "latitude 46.9, longitude 7.4"),
        ({"contact": {"phone_number": "+41", "first_name": "Bea"}}, "a contact: Bea, +41"),
        ({"story": {"id": 1, "chat": {"id": 9, "type": "private", "first_name": "Bea"}}},
         "cannot be perceived here: story.)"),
    ],
)  # fmt: skip
async def test_other_kinds_are_described(
    telegram: TelegramEmulator, person: Person, tmp_path: Path, extra: dict[str, object], expected: str
) -> None:
    """A message that no perception takes arrives as a description."""
    async with connected(telegram, tmp_path) as channel:
        plain = person.write("x").message
        bare = {key: value for key, value in plain.items() if key != "text"}
        telegram.world.push(telegram.bot(), "message", {**bare, **extra})
        _, item = await channel.first(2)
    assert expected in item.content


async def test_update_that_the_library_does_not_understand(
    telegram: TelegramEmulator, person: Person, tmp_path: Path
) -> None:
    """An update that aiogram cannot parse holds up nothing, and its text still arrives."""
    async with connected(telegram, tmp_path) as channel:
        plain = person.write("before").message
        telegram.world.push(telegram.bot(), "message", {**plain, "text": "odd", "photo": {"new": "form"}})
        telegram.world.push(telegram.bot(), "message", {"nothing": "known"})
        person.write("after")
        items = await channel.first(3)
    assert [item.content for item in items] == ["before", "odd", "after"]


async def test_files_before_pairing_are_described_and_not_fetched(
    telegram: TelegramEmulator, person: Person, tmp_path: Path
) -> None:
    """A bot that is not paired yet fetches no files; once paired, it fetches the paired account's."""
    async with connected(telegram, tmp_path) as channel:
        person.send("photo", PHOTO, caption="look")
        [item] = await channel.first()
        assert (item.kind, item.media) == ("text", None)
        assert "look" in item.content
        assert not telegram.calls("getFile")
        channel.gateway.bound(str(person.id), str(person.id))
        person.send("photo", PHOTO, caption="again")
        items = await channel.first(2)
    assert items[1].kind == "image"
