"""The Discord emulator, seen by the real nextcord."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.emulators.discord import VOICE_MESSAGE, DiscordEmulator, Upload
from tests.emulators.discord_clients import DM_INTENTS, Bot, client, connected, ended, held, nextcord
from tests.emulators.discord_objects import MESSAGE_CONTENT
from tests.patience import PATIENCE

# aiohttp calls two arguments of nextcord's deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SEND = "POST /channels/{channel_id}/messages"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[DiscordEmulator]:
    with DiscordEmulator() as emulator:
        monkeypatch.setattr(nextcord.http.Route, "BASE", emulator.url)
        yield emulator


async def test_a_dm_goes_in_and_its_answer_comes_out(emulator: DiscordEmulator) -> None:
    """nextcord logs in, is ready, hears a DM with its whole text, and answers it."""
    async with connected(emulator) as bot:
        assert bot.user is not None
        assert bot.user.id == emulator.bot.account.id
        emulator.say("hello there")
        message = await bot.next()
        assert (message.content, message.guild, message.author.id) == ("hello there", None, emulator.person.id)
        assert message.channel.id == emulator.channel_id
        async with message.channel.typing():
            await message.reply("and hello to you")
        [sent] = await asyncio.to_thread(emulator.wait_for_sent)
        assert (sent.content, sent.reply_to) == ("and hello to you", message.id)
        assert emulator.typings() >= 1
        assert emulator.peak() == 1


@pytest.mark.parametrize("compress", [True, False])
async def test_frames_come_compressed_or_as_text(emulator: DiscordEmulator, compress: bool) -> None:
    """nextcord understands the gateway with and without the zlib stream that it asks for."""
    emulator.configure(compress=compress)
    async with connected(emulator) as bot:
        emulator.say("ä" * 2000)
        assert (await bot.next()).content == "ä" * 2000


async def test_files_go_both_ways(emulator: DiscordEmulator) -> None:
    """A voice message and a picture reach the bot with their sizes and bytes, and its file reaches the person."""
    async with connected(emulator) as bot:
        voice = Upload("voice-message.ogg", b"OggS" * 100, duration=2.5)
        emulator.say("", voice, Upload("cat.png", b"png"), flags=VOICE_MESSAGE)
        message = await bot.next()
        first, second = message.attachments
        assert (first.size, first.content_type, second.filename) == (400, "audio/ogg", "cat.png")
        assert await first.read() == b"OggS" * 100
        [request] = emulator.requests("GET /attachments/{channel_id}/{attachment_id}/{filename}")
        assert "authorization" not in request.headers
        path = ROOT / "LICENSE"
        await message.channel.send("mine", file=nextcord.File(path, "mine.txt"))
        [sent] = await asyncio.to_thread(emulator.wait_for_sent)
        assert sent.attachments[0].upload.filename == "mine.txt"
        assert sent.attachments[0].upload.data == path.read_bytes()


async def test_an_edit_is_told(emulator: DiscordEmulator) -> None:
    """A changed message arrives as MESSAGE_UPDATE with its new text."""
    async with connected(emulator) as bot:
        message = emulator.say("first")
        await bot.next()
        emulator.edit(message, "second")
        event = await asyncio.wait_for(bot.edited.get(), PATIENCE)
        assert dict(event.data)["content"] == "second"


async def test_an_enforced_nonce_makes_one_message(emulator: DiscordEmulator) -> None:
    """A send whose answer was lost is repeated with its nonce and gives the same message."""
    async with connected(emulator) as bot:
        route = nextcord.http.Route("POST", "/channels/{channel_id}/messages", channel_id=emulator.channel_id)
        body = {"content": "once", "nonce": "n-1", "enforce_nonce": True}
        emulator.fail(SEND, "drop", stored=True)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await bot.http.request(route, json=body)
        assert len(emulator.sent()) == 1
        again = await bot.http.request(route, json=body)
        [sent] = emulator.sent()
        assert int(again["id"]) == sent.id
        await bot.http.request(route, json={"content": "twice", "nonce": "n-1"})
        assert len(emulator.sent()) == 2


async def test_a_drop_is_resumed_and_what_was_missed_is_replayed(emulator: DiscordEmulator) -> None:
    """After a broken connection nextcord resumes at the resume URL and gets what was sent meanwhile, once."""
    async with connected(emulator) as bot:
        emulator.say("before")
        await bot.next()
        emulator.fail("WS /gw", "hang")
        emulator.drop_gateways()
        emulator.say("in between")
        await held(emulator)
        emulator.release()
        await asyncio.wait_for(bot.resumptions.get(), PATIENCE)
        emulator.say("after")
        assert [(await bot.next()).content for _ in range(2)] == ["in between", "after"]
        assert (emulator.identifies(), emulator.peak()) == (1, 1)
        assert emulator.resumes() >= 1


async def test_opcode_7_is_a_resume(emulator: DiscordEmulator) -> None:
    """On opcode 7 nextcord reconnects with a resume; nothing is lost or doubled."""
    async with connected(emulator) as bot:
        assert emulator.reconnect() == 1
        await asyncio.wait_for(bot.resumptions.get(), PATIENCE)
        emulator.say("still there?")
        assert (await bot.next()).content == "still there?"
        assert (emulator.identifies(), emulator.resumes(), emulator.peak()) == (1, 1, 1)


async def test_opcode_9_not_resumable_is_a_fresh_identify(emulator: DiscordEmulator) -> None:
    """After opcode 9 nextcord identifies again; what was sent meanwhile is only in the history."""
    async with connected(emulator) as bot:
        seen = emulator.say("seen")
        await bot.next()
        emulator.fail("WS /gw", "hang")
        emulator.invalidate(resumable=False)
        await held(emulator)
        emulator.say("missed")
        emulator.release()
        await asyncio.wait_for(bot.readies.get(), PATIENCE)
        emulator.say("after")
        assert (await bot.next()).content == "after"
        channel = await bot.fetch_channel(emulator.channel_id)
        assert isinstance(channel, nextcord.DMChannel)
        found = [message.content async for message in channel.history(after=nextcord.Object(seen.id))]
        assert found == ["missed", "after"]
        assert emulator.identifies() == 2


async def test_opcode_9_resumable_is_a_resume(emulator: DiscordEmulator) -> None:
    """On opcode 9 with true nextcord resumes its session."""
    async with connected(emulator) as bot:
        emulator.invalidate(resumable=True)
        await asyncio.wait_for(bot.resumptions.get(), PATIENCE)
        assert emulator.identifies() == 1


async def test_sessions_forgotten_by_the_server_are_identified_anew(emulator: DiscordEmulator) -> None:
    """When the server has lost its sessions, nextcord's resume is refused and it identifies again."""
    async with connected(emulator) as bot:
        emulator.forget_sessions()
        await asyncio.wait_for(bot.readies.get(), PATIENCE)
        assert (emulator.identifies(), emulator.resumes(), emulator.peak()) == (2, 1, 1)


async def test_a_malformed_event_ends_nextcord(emulator: DiscordEmulator) -> None:
    """An event that lacks a key ends the client with an error that is not nextcord's own."""
    bot = Bot()
    running = asyncio.create_task(bot.start(emulator.token))
    await asyncio.wait_for(bot.readies.get(), PATIENCE)
    emulator.dispatch("MESSAGE_CREATE", {"id": "1", "channel_id": str(emulator.channel_id)})
    with pytest.raises(KeyError):
        await asyncio.wait_for(running, PATIENCE)
    await bot.close()


async def test_history_is_paged_over_a_hundred(emulator: DiscordEmulator) -> None:
    """All of 250 later messages come in order, a hundred per request."""
    messages = [emulator.say(str(number)) for number in range(251)]
    async with connected(emulator) as bot:
        channel = await bot.fetch_channel(emulator.channel_id)
        assert isinstance(channel, nextcord.DMChannel)
        after = nextcord.Object(messages[0].id)
        found = [message.content async for message in channel.history(after=after, limit=None)]
        assert found == [str(number) for number in range(1, 251)]
        assert len(emulator.requests("GET /channels/{channel_id}/messages")) == 3


async def test_a_bad_token_is_a_login_failure(emulator: DiscordEmulator) -> None:
    """A revoked token is 401 at login, which nextcord calls LoginFailure."""
    emulator.revoke()
    assert isinstance(await ended(emulator), nextcord.LoginFailure)
    with client(emulator) as plain:
        answer = plain.get("/users/@me")
    assert (answer.status_code, answer.json()) == (401, {"message": "401: Unauthorized", "code": 0})


async def test_a_token_revoked_in_mid_life_closes_with_4004(emulator: DiscordEmulator) -> None:
    """A running client whose token is revoked ends with ConnectionClosed 4004."""
    bot = Bot()
    running = asyncio.create_task(bot.start(emulator.token))
    await asyncio.wait_for(bot.readies.get(), PATIENCE)
    emulator.revoke()
    with pytest.raises(nextcord.ConnectionClosed) as caught:
        await asyncio.wait_for(running, PATIENCE)
    assert caught.value.code == 4004


async def test_a_privileged_intent_must_be_switched_on(emulator: DiscordEmulator) -> None:
    """Message content without the portal's switch is 4014, and the application's flags show it beforehand."""
    error = await ended(emulator, DM_INTENTS | MESSAGE_CONTENT)
    assert isinstance(error, nextcord.PrivilegedIntentsRequired)
    with client(emulator) as plain:
        assert not plain.get("/applications/@me").json()["flags"] & 1 << 19
        emulator.set_privileged(MESSAGE_CONTENT)
        assert plain.get("/applications/@me").json()["flags"] & 1 << 19
    async with connected(emulator, DM_INTENTS | MESSAGE_CONTENT):
        assert emulator.gateways() == 1


async def test_a_guild_hides_the_text_without_the_intent(emulator: DiscordEmulator) -> None:
    """In a guild the text is empty without the intent, but not where the bot is mentioned."""
    channel_id = emulator.add_guild()
    async with connected(emulator, 1 | 1 << 9 | DM_INTENTS) as bot:
        emulator.say("not for you", channel_id=channel_id, author=emulator.person)
        emulator.say(f"<@{emulator.bot.account.id}> hi", channel_id=channel_id, author=emulator.person)
        first, second = await bot.next(), await bot.next()
        assert (first.content, second.content) == ("", f"<@{emulator.bot.account.id}> hi")
        assert first.guild is not None


async def test_a_rate_limit_with_via_is_waited_out(emulator: DiscordEmulator) -> None:
    """nextcord waits out Discord's 429, of the route and of the whole bot, and the message is sent once."""
    async with connected(emulator) as bot:
        emulator.say("hi")
        message = await bot.next()
        emulator.fail(SEND, "rate_limit", retry_after=0.05)
        await message.channel.send("patience")
        emulator.fail(SEND, "global", retry_after=0.05)
        await message.channel.send("more patience")
        assert [sent.content for sent in emulator.sent()] == ["patience", "more patience"]
        assert [request.status for request in emulator.requests(SEND)] == [429, 200, 429, 200]


async def test_a_ban_by_cloudflare_is_raised(emulator: DiscordEmulator) -> None:
    """A 429 without Via and JSON ends nextcord's send at once."""
    async with connected(emulator) as bot:
        emulator.say("hi")
        message = await bot.next()
        emulator.fail(SEND, "cloudflare")
        with pytest.raises(nextcord.HTTPException) as caught:
            await message.channel.send("no use")
        assert caught.value.status == 429
        assert not emulator.sent()


async def test_the_server_goes_down_and_comes_back(emulator: DiscordEmulator) -> None:
    """A client survives an outage, resumes on the same port, and gets what was sent meanwhile."""
    async with connected(emulator) as bot:
        emulator.down()
        emulator.say("are you there?")
        emulator.up()
        assert (await bot.next()).content == "are you there?"
        assert emulator.peak() == 1


async def test_a_first_connection_that_fails_ends_nextcord(emulator: DiscordEmulator) -> None:
    """nextcord does not retry its very first gateway connection: it ends with an AttributeError of its own."""
    emulator.fail("WS /gw", "status", status=503)
    assert isinstance(await ended(emulator), AttributeError)


async def test_missing_acks_end_a_connection_and_it_comes_back(emulator: DiscordEmulator) -> None:
    """nextcord leaves a server that acknowledges nothing and sends nothing, and then resumes."""
    emulator.configure(heartbeat_interval=0.1, acks=False)
    bot = Bot()
    bot._connection.heartbeat_timeout = 0.3
    running = asyncio.create_task(bot.start(emulator.token))
    try:
        await asyncio.wait_for(bot.readies.get(), PATIENCE)
        await asyncio.wait_for(bot.resumptions.get(), PATIENCE)
        assert emulator.identifies() == 1
    finally:
        await bot.close()
        running.cancel()
        await asyncio.wait({running}, timeout=PATIENCE)
