"""Messages from Discord reach the daemon in order, once, and without loss."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from proto.gateways import Inbound
from proto.perception import FORWARDED
from tests.emulators.discord import VOICE_MESSAGE, DiscordEmulator, Upload
from tests.worker.gateways.discord.channel import HISTORY, TIMING, connected, opened
from worker.gateways.common.attachments import Attachment, attach
from worker.gateways.common.media_download import Files
from worker.gateways.discord.frames import Account, Forwarded, Message, Snapshot, UploadedFile
from worker.gateways.discord.inbound import inbound

# nextcord passes two arguments that aiohttp has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

FILE = "GET /attachments/{channel_id}/{attachment_id}/{filename}"


@pytest.fixture
def discord() -> Iterator[DiscordEmulator]:
    """Discord with one bot and one person."""
    with DiscordEmulator() as emulator:
        yield emulator


async def test_text(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A direct message arrives with its text, its sender's number and name, its chat and its time."""
    async with connected(discord, tmp_path) as channel:
        message = discord.say("Grüße 👋\nzwei Zeilen")
        [item] = await channel.first()
        assert (item.key, item.content, item.kind) == (str(message.id), "Grüße 👋\nzwei Zeilen", "text")
        assert (item.account, item.account_name) == (str(discord.person.id), "alice")
        assert (item.chat, item.private, item.command) == (str(discord.channel_id), True, None)
        assert item.at == ((message.id >> 22) + 1_420_070_400_000) * 1_000_000


async def test_only_people_are_heard(discord: DiscordEmulator, tmp_path: Path) -> None:
    """Messages from bots, webhooks and herself are ignored, both live and in the history."""
    first = discord.say("first")
    async with connected(discord, tmp_path, paired=True, last_key=str(first.id)) as channel:
        discord.say("from a bot", author=discord.add_bot("other").account)
        discord.say("from a webhook", webhook_id=5)
        author = {"id": "6", "username": "hook"}
        webhook = {"id": "7", "channel_id": "8", "author": author, "webhook_id": "6", "content": "from a hook"}
        discord.dispatch("MESSAGE_CREATE", webhook)
        channel.deliver("her own", discord.channel_id)
        await channel.outcome()
        discord.say("from alice")
        await channel.first()
    async with connected(discord, tmp_path, paired=True, last_key=str(first.id)) as again:
        await again.first()
        assert channel.texts == again.texts == ["from alice"]


@pytest.mark.parametrize(
    ("text", "command", "content"),
    [
        ("/hello", "hello", ""),
        ("/hush", "hush", ""),
        ("/STOP ", "stop", ""),
        ("/restart now please", "restart", "now please"),
        ("/start\nx", "start", "x"),
        ("/stopwatch", None, "/stopwatch"),
        ("please /stop", None, "please /stop"),
        ("/other", None, "/other"),
    ],
)
async def test_commands(discord: DiscordEmulator, tmp_path: Path, text: str, command: str | None, content: str) -> None:
    """A command is a slash and one of four names at the start of a message."""
    async with connected(discord, tmp_path) as channel:
        discord.say(text)
        [item] = await channel.first()
        assert (item.command, item.content) == (command, content)


async def test_files(discord: DiscordEmulator, tmp_path: Path) -> None:
    """Each file follows the text, goes to the perception of its extension, has a key in order, and is complete."""
    async with connected(discord, tmp_path, paired=True) as channel:
        uploads = [Upload(f"page {number}.PDF", b"%PDF" + bytes([number])) for number in range(9)]
        message = discord.say("look", Upload("cat.png", b"png"), *uploads)
        items = await channel.first(11)
        assert [item.kind for item in items] == ["text", "image", *["document"] * 9]
        keys = [item.key for item in items]
        assert keys == sorted(keys)
        assert keys[:2] == [str(message.id), f"{message.id}.01"]
        assert (items[1].content, items[1].title) == ("", "cat.png")
        files = {path.name: path.read_bytes() for path in channel.media.iterdir()}
        assert files == {str(item.media): upload.data for item, upload in zip(items[2:], uploads, strict=True)} | {
            str(items[1].media): b"png"
        }
        [batch] = channel.batches
        assert len(batch) == 11


async def test_voice(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A voice message goes to hearing, without a text."""
    async with connected(discord, tmp_path, paired=True) as channel:
        discord.say("", Upload("voice-message.ogg", b"OggS", duration=1.5), flags=VOICE_MESSAGE)
        [item] = await channel.first()
        assert (item.kind, item.content, item.key.endswith(".01")) == ("audio", "", True)
        assert (channel.media / str(item.media)).read_bytes() == b"OggS"


class Fetched(Files):
    """Every file is there."""

    def __init__(self) -> None:
        pass

    async def fetch(self, item: Inbound, file: Attachment) -> str:
        attach(item, file, "voice.ogg")
        return file.note


async def test_a_forwarded_voice_message() -> None:
    """What somebody else said stays marked as forwarded, though the file is a message of its own."""
    sent = Account(id="7", username="ann")
    voice = UploadedFile("http://127.0.0.1/v", "voice-message.ogg", 4, duration_secs=1.5)
    snapshot = Snapshot(Forwarded("", [voice]))
    message = Message(id="1", channel_id="2", author=sent, message_snapshots=[snapshot])
    items = await inbound(message, Fetched(), "1", edited=False)
    assert [(item.kind, item.title, FORWARDED in item.content) for item in items if item.media] == [("audio", "", True)]


async def test_files_that_cannot_be_had(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A file of an unknown kind, too large or gone is described in text, with the limit."""
    async with connected(discord, tmp_path, paired=True) as channel:
        discord.fail(FILE, "status", status=404)
        discord.say("", Upload("gone.png", b"png"))
        discord.say("", Upload("film.mkv", b"mkv"), Upload("huge.wav", bytes(25 * 2**20 + 1)))
        items = await channel.first(3)
        assert {item.kind for item in items} == {"text"}
        assert "gone.png" in items[0].content
        assert "does not give it (404)" in items[0].content
        assert "cannot be perceived" in items[1].content
        assert "25.0 MB" in items[2].content
        assert "limit" in items[2].content
        assert len(discord.requests(FILE)) == 1


async def test_file_that_is_larger_than_said(discord: DiscordEmulator, tmp_path: Path) -> None:
    """The limit applies to the bytes that arrive, not only to the stated size, and no part of the file is kept."""
    huge = discord.say("", Upload("huge.wav", bytes(25 * 2**20 + 1)))
    async with connected(discord, tmp_path, paired=True) as channel:
        author = {"id": str(discord.person.id), "username": "alice"}
        file = {"url": huge.attachments[0].url, "filename": "huge.wav", "size": 1}
        event = {"id": "1", "channel_id": str(discord.channel_id), "author": author, "attachments": [file]}
        discord.dispatch("MESSAGE_CREATE", event)
        [item] = await channel.first()
        assert item.kind == "text"
        assert "25 MB" in item.content
        assert list(channel.media.iterdir()) == []


async def test_file_whose_download_breaks(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A broken download is tried again, and leaves no partial file."""
    async with connected(discord, tmp_path, paired=True) as channel:
        discord.fail(FILE, "drop")
        discord.fail(FILE, "status", status=503)
        discord.say("", Upload("cat.png", b"png" * 1000))
        [item] = await channel.first()
        assert [path.name for path in channel.media.iterdir()] == [item.media]


async def test_file_of_a_stranger(discord: DiscordEmulator, tmp_path: Path) -> None:
    """Only the paired account's files are fetched, so that strangers cannot fill the disk."""
    async with connected(discord, tmp_path, paired=True) as channel:
        mallory = discord.add_user("mallory")
        discord.say("", Upload("cat.png", b"png"), channel_id=discord.dm(mallory), author=mallory)
        [item] = await channel.first()
        assert item.account == str(mallory.id)
        assert "not fetched" in item.content
        assert discord.requests(FILE) == []


async def test_pairing(discord: DiscordEmulator, tmp_path: Path) -> None:
    """After pairing, the account's files are fetched, and messages from an outage arrive."""
    async with connected(discord, tmp_path) as channel:
        discord.say("", Upload("one.png", b"png"))
        [first] = await channel.first()
        assert "not fetched" in first.content
        channel.gateway.bound(str(discord.person.id), str(discord.channel_id))
        discord.down()
        discord.forget_sessions()
        discord.say("", Upload("two.png", b"png"))
        discord.up()
        items = await channel.first(2)
        assert [item.kind for item in items] == ["text", "image"]


async def test_edit(discord: DiscordEmulator, tmp_path: Path) -> None:
    """An edited message arrives as a correction under its own key; an edit without changes does not arrive."""
    async with connected(discord, tmp_path) as channel:
        message = discord.say("see you at fife")
        await channel.first()
        discord.edit(message, "see you at five")
        items = await channel.first(2)
        assert items[1].content.endswith("see you at five")
        assert "corrected" in items[1].content
        assert items[0].key < items[1].key
        author = {"id": str(discord.person.id), "username": "alice"}
        pinned = {"id": str(message.id), "channel_id": str(discord.channel_id), "author": author, "content": "x"}
        discord.dispatch("MESSAGE_UPDATE", pinned)
        discord.say("end")
        assert [item.content for item in await channel.first(3)][2] == "end"


async def test_reply(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A reply quotes the message that it answers."""
    async with connected(discord, tmp_path) as channel:
        message = discord.say("tea or coffee?")
        discord.say("tea", reply_to=message.id)
        assert (await channel.first(2))[1].content == '(In answer to their own words: "tea or coffee?")\ntea'


async def test_reply_to_her(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A reply to her own message says that the quoted words are hers."""
    async with connected(discord, tmp_path) as channel:
        discord.say("hello")
        await channel.first()
        channel.deliver("tea or coffee?", discord.channel_id)
        await channel.outcome()
        discord.say("tea", reply_to=discord.sent()[-1].id)
        assert (await channel.first(2))[1].content == '(In answer to your words: "tea or coffee?")\ntea'


async def test_reply_to_a_picture(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A reply to a picture without words says what it answers, and the picture comes with it again."""
    async with connected(discord, tmp_path, paired=True) as channel:
        message = discord.say("", Upload("cat.png", b"png"))
        await channel.first()
        discord.say("what colour is it?", reply_to=message.id)
        _, words, picture = await channel.first(3)
        assert picture.media
        assert (channel.media / picture.media).read_bytes() == b"png"
    assert words.content.startswith('(In answer to a file named "cat.png" of theirs, sent on ')
    assert words.content.endswith(".)\nwhat colour is it?")


async def test_odd_message(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A message that nextcord cannot parse, with undocumented parts, still arrives with its text."""
    async with connected(discord, tmp_path) as channel:
        author = {"id": str(discord.person.id), "username": "alice"}
        odd = {"id": "1", "channel_id": str(discord.channel_id), "author": author, "content": "odd", "attachments": 7}
        discord.dispatch("MESSAGE_CREATE", {**odd, "guild_id": None})
        [item] = await channel.first()
        assert (item.content, item.private) == ("odd", True)


async def test_message_of_a_server(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A message from a server is marked as such and passed on without its text."""
    async with connected(discord, tmp_path) as channel:
        author = {"id": str(discord.person.id), "username": "alice"}
        discord.dispatch(
            "MESSAGE_CREATE", {"id": "1", "channel_id": "2", "guild_id": "3", "author": author, "content": "secret"}
        )
        [item] = await channel.first()
        assert (item.content, item.private) == ("", False)


async def test_not_taken(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A message that was not committed is offered again, before any later one."""
    async with connected(discord, tmp_path) as channel:
        channel.refusals = 3
        for number in range(5):
            discord.say(str(number))
        await channel.first(5)
        assert channel.texts == ["0", "1", "2", "3", "4"]
        assert [batch[0].content for batch in channel.offers] == ["0"] * 4 + ["1", "2", "3", "4"]


async def test_catch_up_after_a_start(discord: DiscordEmulator, tmp_path: Path) -> None:
    """Messages from while the bot was offline arrive first, page by page, in order and once."""
    committed = discord.say("committed")
    for number in range(230):
        discord.say(f"{number:03}")
    async with opened(discord, tmp_path, paired=True, last_key=f"{committed.id}.01") as channel:
        await channel.in_state("connected")
        discord.say("live")
        await channel.first(231)
        assert channel.texts == [f"{number:03}" for number in range(230)] + ["live"]
        assert len(discord.requests(HISTORY)) == 3


async def test_catch_up_after_a_lost_session(discord: DiscordEmulator, tmp_path: Path) -> None:
    """Messages from between two sessions arrive, even if nothing was committed on the channel before."""
    discord.say("before the pairing")
    async with connected(discord, tmp_path, paired=True) as channel:
        await asyncio.to_thread(discord.wait_for_requests, HISTORY)
        discord.down()
        discord.forget_sessions()
        discord.say("in between")
        discord.fail(HISTORY, "status", status=503, times=2)
        discord.fail(HISTORY, "rate_limit", retry_after=0.05)
        discord.up()
        await channel.first()
        discord.say("after")
        await channel.first(2)
        assert channel.texts == ["in between", "after"]


async def test_resumed_session(discord: DiscordEmulator, tmp_path: Path) -> None:
    """Messages that a resumed session replays arrive once and in order, without reading the history."""
    first = discord.say("first")
    async with connected(discord, tmp_path, paired=True, last_key=str(first.id)) as channel:
        discord.say("one")
        await channel.first()
        asked = len(discord.requests(HISTORY))
        discord.down()
        discord.say("two")
        discord.say("three")
        discord.up()
        await channel.first(3)
        discord.say("four")
        await channel.first(4)
        assert channel.texts == ["one", "two", "three", "four"]
        assert len(discord.requests(HISTORY)) == asked


async def test_paired_chat_that_is_gone(discord: DiscordEmulator, tmp_path: Path) -> None:
    """If Discord refuses the history, new messages still arrive."""
    discord.fail(HISTORY, "status", status=404)
    async with connected(discord, tmp_path, paired=True, last_key="7") as channel:
        discord.say("hi")
        await channel.first()
        assert "discord.history_unread" in channel.log()


async def test_more_than_can_wait(discord: DiscordEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If more messages wait than fit, the rest is read from the history: all of them, in order."""
    monkeypatch.setattr("worker.gateways.discord.inbox.MAX_WAITING", 3)
    first = discord.say("first")
    async with connected(discord, tmp_path, paired=True, last_key=str(first.id), timing=TIMING) as channel:
        await asyncio.to_thread(discord.wait_for_requests, HISTORY)
        channel.refusals = 4
        for number in range(20):
            discord.say(f"{number:02}")
        await channel.first(20)
        assert channel.texts == [f"{number:02}" for number in range(20)]
        assert "discord.inbox_full" in channel.log()
