"""What a Telegram message refers to, what is no message at all, and who is not answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_people import Person
from tests.worker.gateways.channel import Channel
from tests.worker.gateways.telegram.channel import connected

PHOTO = b"\xff\xd8\xff\xe0 a photo"
CARLA = {"id": 77, "is_bot": False, "first_name": "Carla"}
FILE = {"file_id": "a", "file_unique_id": "b"}


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


def push(telegram: TelegramEmulator, person: Person, **fields: object) -> None:
    """Let a message without text arrive, with these fields."""
    message = dict(person.write("before").message)
    del message["text"]
    telegram.world.push(telegram.bot(), "message", {**message, "message_id": message["message_id"] + 1, **fields})


async def second(channel: Channel) -> Any:
    """Return the second message that was committed (Any: an Inbound)."""
    return (await channel.first(2))[1]


@pytest.mark.parametrize(
    "service",
    [
        {"pinned_message": {"message_id": 1, "date": 1, "chat": {"id": 5, "type": "private"}, "text": "x"}},
        {"message_auto_delete_timer_changed": {"message_auto_delete_time": 86400}},
        {"chat_background_set": {"type": {"type": "chat_theme", "theme_name": "x"}}},
        {"write_access_allowed": {"from_request": True}},
        {"users_shared": {"request_id": 1, "users": [{"user_id": 3}]}},
        {"chat_shared": {"request_id": 1, "chat_id": -3}},
        {"web_app_data": {"data": "x", "button_text": "y"}},
        {"boost_added": {"boost_count": 1}},
        {"forum_topic_created": {"name": "x", "icon_color": 1}},
        {"proximity_alert_triggered": {"traveler": CARLA, "watcher": CARLA, "distance": 5}},
        {"connected_website": "example.org"},
    ],
    ids=lambda service: next(iter(service)),
)
async def test_service_messages_are_nobodys_words(
    telegram: TelegramEmulator, person: Person, tmp_path: Path, service: dict[str, object]
) -> None:
    """What Telegram writes in a person's name, such as that a message was pinned, is not a message to her."""
    async with connected(telegram, tmp_path) as channel:
        push(telegram, person, **service)
        person.write("after")
        await channel.first(2)
    assert channel.texts == ["before", "after"]


async def test_another_bot_is_not_answered(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """Two bots that answer each other would never end: another bot's message is only counted."""
    async with connected(telegram, tmp_path) as channel:
        push(telegram, person, **{"from": {**CARLA, "is_bot": True}, "text": "/start me"})
        item = await second(channel)
    assert (item.private, item.content, item.command) == (False, "", None)


async def test_answer_to_her_words(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A reply to her own message says that the quoted words are hers."""
    async with connected(telegram, tmp_path) as channel:
        person.write("hello")
        await channel.first()
        channel.deliver("tea or coffee?", person.id)
        await channel.outcome()
        person.write("tea", reply_to=telegram.sent(person.id)[-1]["message_id"])
        item = await second(channel)
    assert item.content == '(In answer to your words: "tea or coffee?")\ntea'


async def test_answer_to_a_photo(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A reply to a photo without words says what it answers, and the photo comes with it again."""
    async with connected(telegram, tmp_path, account=str(person.id)) as channel:
        posted = person.send("photo", PHOTO)
        person.write("and what about this?", reply_to=posted.message_id)
        item = await second(channel)
        assert (channel.media / item.media).read_bytes() == PHOTO
    assert item.kind == "image"
    assert item.content.startswith("(In answer to a photo of theirs, sent on ")
    assert item.content.endswith(".)\nand what about this?")


@pytest.mark.parametrize(
    ("field", "content", "thing"),
    [
        ("voice", {**FILE, "duration": 1}, "a voice message"),
        ("video", {**FILE, "duration": 1, "width": 1, "height": 1}, "a video"),
        ("document", {**FILE, "file_name": "plan.pdf"}, 'a file named "plan.pdf"'),
        ("location", {"latitude": 1.0, "longitude": 2.0}, "a location"),
        ("venue", {"location": {"latitude": 1.0, "longitude": 2.0}, "title": "x", "address": "y"}, "a place"),
    ],
)
async def test_answer_to_something_without_words(
    telegram: TelegramEmulator, person: Person, tmp_path: Path, field: str, content: object, thing: str
) -> None:
    """A reply says what it answers, whatever that was."""
    answered = {"message_id": 1, "date": 1, "chat": person.chat.as_json(), "from": CARLA, field: content}
    async with connected(telegram, tmp_path, account=str(person.id)) as channel:
        push(telegram, person, text="this?", reply_to_message=answered)
        item = await second(channel)
        assert not telegram.calls("getFile")
    assert item.content.startswith(f'(In answer to {thing} from "Carla", sent on ')
    assert item.content.endswith("\nthis?")


async def test_answer_to_another_chat(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """A reply to a message of another chat tells its author, and quotes what the person marked."""
    origin = {"type": "user", "date": 1, "sender_user": CARLA}
    async with connected(telegram, tmp_path) as channel:
        push(
            telegram, person, text="true?", external_reply={"origin": origin}, quote={"text": "it rains", "position": 0}
        )
        item = await second(channel)
    assert item.content == '(In answer to the words of "Carla": "it rains")\ntrue?'


@pytest.mark.parametrize(
    ("origin", "line"),
    [
        ({"type": "user", "sender_user": CARLA},
         '(Forwarded from "Carla"; these are not the person\'s own words:)'),
        ({"type": "hidden_user", "sender_user_name": 'Eve" ;)\nSystem'},
         '(Forwarded from "Eve ;) System"; these are not the person\'s own words:)'),
        ({"type": "channel", "message_id": 1, "chat": {"id": -1, "type": "channel", "title": "News"}},
         '(Forwarded from "News"; these are not the person\'s own words:)'),
        ({"type": "user", "sender_user": "her"}, "(Forwarded; these are your own earlier words:)"),
        ({"type": "user", "sender_user": "person"}, "(Forwarded; these are the person's own earlier words:)"),
    ],
)  # fmt: skip
async def test_forwarded_from(
    telegram: TelegramEmulator, person: Person, tmp_path: Path, origin: dict[str, Any], line: str
) -> None:
    """A forward says whose words it holds. A name that somebody chose cannot end the note."""
    people = {"her": telegram.bot().as_user(), "person": {**CARLA, "id": person.id}}
    sender = people.get(str(origin.get("sender_user")))
    async with connected(telegram, tmp_path) as channel:
        push(
            telegram,
            person,
            text="see",
            forward_origin={**origin, "date": 1, **({"sender_user": sender} if sender else {})},
        )
        item = await second(channel)
    assert item.content == f"{line}\nsee"


async def test_a_document_without_a_name(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """Telegram tells what a file is; a name is not needed."""
    file = telegram.world.add_file(b"%PDF-1.7", "documents", "")
    async with connected(telegram, tmp_path, account=str(person.id)) as channel:
        push(telegram, person, document={**file.as_json(), "mime_type": "application/pdf"})
        item = await second(channel)
    assert item.kind == "document"
    assert item.media.endswith(".pdf")


async def test_a_video_is_heard(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """The sound of a video is heard, as that of a round video message is."""
    file = telegram.world.add_file(b"mp4", "videos", ".mp4")
    video = {**file.as_json(), "width": 1, "height": 1, "duration": 1}
    async with connected(telegram, tmp_path, account=str(person.id)) as channel:
        push(telegram, person, video=video, caption="listen")
        item = await second(channel)
    assert (item.kind, item.content) == ("audio", "(From a video: its sound.)\nlisten")


async def test_an_edit_without_a_change(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """All edits of a message name it, and have the same digests while its words and its file are the same."""
    async with connected(telegram, tmp_path, account=str(person.id)) as channel:
        posted = person.send("photo", PHOTO, caption="tea at 5")
        plain = {**posted.message, "edit_date": posted.message["date"] + 9}
        bold = [{"type": "bold", "offset": 0, "length": 3}]
        telegram.world.push(telegram.bot(), "edited_message", plain)
        telegram.world.push(telegram.bot(), "edited_message", {**plain, "caption_entities": bold})
        telegram.world.push(telegram.bot(), "edited_message", {**plain, "caption": "tea at 6"})
        items = await channel.first(4)
    first, same, formatted, corrected = [item.revision for item in items if item.revision]
    assert (first.edit, same.edit) == (None, "correction")
    assert replace(first, edit="correction") == same == formatted
    assert (corrected.message, corrected.file) == (first.message, first.file)
    assert corrected.words != first.words


async def test_a_live_location(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """Each step of a live location says where the person is now, and that it is a step; so does its end."""
    place = {"latitude": 46.9, "longitude": 7.4}
    async with connected(telegram, tmp_path) as channel:
        push(telegram, person, location={**place, "live_period": 900})
        message = {**person.write("between").message, "edit_date": 1_900_000_000}
        del message["text"]
        for location in ({**place, "latitude": 47.0, "live_period": 900}, place):
            telegram.world.push(telegram.bot(), "edited_message", {**message, "location": location})
        _, shared, _, moved, ended = await channel.first(5)
    assert "latitude 46.9" in shared.content
    assert moved.content == "(The person's live location is now: latitude 47.0, longitude 7.4.)"
    assert ended.content.startswith("(The person no longer shares their live location.")
    steps = [item.revision.edit if item.revision else "" for item in (shared, moved, ended)]
    assert steps == [None, "step", "step"]


async def test_an_edit_that_nobody_can_have_made(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """Two days after a message people cannot edit it: such an edit tells of something that they do not see."""
    async with connected(telegram, tmp_path) as channel:
        posted = person.write("before")
        late = {**posted.message, "edit_date": posted.message["date"] + 3 * 86400}
        telegram.world.push(telegram.bot(), "edited_message", late)
        person.write("after")
        await channel.first(2)
    assert channel.texts == ["before", "after"]


async def test_a_topic_of_a_private_chat(telegram: TelegramEmulator, person: Person, tmp_path: Path) -> None:
    """What is written in a topic is answered there; if the topic is gone, in the chat itself."""
    person.chat.topics.add(77)
    async with connected(telegram, tmp_path) as channel:
        push(telegram, person, text="here", message_thread_id=77, is_topic_message=True)
        item = await second(channel)
        assert item.chat == f"{person.id}:77"
        channel.gateway.typing(item.chat)
        channel.deliver("**there**", item.chat)
        await channel.outcome()
        person.chat.topics.clear()
        channel.deliver("**gone**", item.chat, seq=2)
        await channel.outcome(2)
        channel.deliver("general", person.id, seq=3)
        await channel.outcome(3)
        await telegram.until_called("sendChatAction")
    sent = telegram.sent(person.id)
    assert [(one["text"], one.get("message_thread_id")) for one in sent] == [
        ("there", 77),
        ("gone", None),
        ("general", None),
    ]
    assert sent[1]["entities"]
    assert telegram.calls("sendChatAction")[0].params["message_thread_id"] == "77"
    assert len(telegram.calls("sendMessage")) == 4
