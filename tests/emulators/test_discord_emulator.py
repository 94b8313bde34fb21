"""The Discord emulator, seen by the real nextcord and, where nextcord hides what happens, by plain clients."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import websockets

from tests.emulators.discord import VOICE_MESSAGE, DiscordEmulator, Upload
from tests.emulators.discord_objects import MESSAGE_CONTENT

with warnings.catch_warnings():
    # nextcord imports audioop, which Python 3.13 no longer has and 3.11 warns of.
    warnings.simplefilter("ignore")
    import nextcord
    from nextcord.http import Route

# aiohttp calls two arguments of nextcord's deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PATIENCE = 10.0
DM_INTENTS = 1 << 12
SEND = "POST /channels/{channel_id}/messages"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[DiscordEmulator]:
    with DiscordEmulator() as emulator:
        monkeypatch.setattr(Route, "BASE", emulator.url)
        yield emulator


class Bot(nextcord.Client):
    """A client that keeps what it hears."""

    def __init__(self, intents: int = DM_INTENTS) -> None:
        wanted = nextcord.Intents.none()
        wanted.value = intents
        super().__init__(intents=wanted, guild_ready_timeout=0)
        self.heard: asyncio.Queue[nextcord.Message] = asyncio.Queue()
        self.edited: asyncio.Queue[nextcord.RawMessageUpdateEvent] = asyncio.Queue()
        self.settled = asyncio.Event()
        self.readies: asyncio.Queue[None] = asyncio.Queue()
        self.resumptions: asyncio.Queue[None] = asyncio.Queue()

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """nextcord would wait five seconds before each identify but the first."""

    async def on_connect(self) -> None:
        """Ask for the commands, as nextcord does; 3.2 opens a session that nobody closes if it asks after ``close``."""
        self.settled.clear()
        try:
            await super().on_connect()
        finally:
            self.settled.set()

    async def on_ready(self) -> None:
        await self.settled.wait()
        self.readies.put_nowait(None)

    async def on_resumed(self) -> None:
        self.resumptions.put_nowait(None)

    async def on_message(self, message: nextcord.Message) -> None:
        if not message.author.bot:
            self.heard.put_nowait(message)

    async def on_raw_message_edit(self, payload: nextcord.RawMessageUpdateEvent) -> None:
        self.edited.put_nowait(payload)

    async def next(self) -> nextcord.Message:
        return await asyncio.wait_for(self.heard.get(), PATIENCE)


@asynccontextmanager
async def connected(emulator: DiscordEmulator, intents: int = DM_INTENTS) -> AsyncIterator[Bot]:
    """A bot that is ready."""
    bot = Bot(intents)
    running = asyncio.create_task(bot.start(emulator.token))
    try:
        ready = asyncio.ensure_future(bot.readies.get())
        await asyncio.wait({running, ready}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        assert ready.done(), running
        yield bot
    finally:
        await bot.close()
        running.cancel()
        await asyncio.wait({running}, timeout=PATIENCE)


async def ended(emulator: DiscordEmulator, intents: int = DM_INTENTS) -> BaseException:
    """What ends a client that cannot go on."""
    bot = Bot(intents)
    try:
        await asyncio.wait_for(bot.start(emulator.token), PATIENCE)
    except (nextcord.DiscordException, AttributeError) as error:
        return error
    finally:
        await bot.close()
    raise AssertionError("the client ended without an error")


def client(emulator: DiscordEmulator) -> httpx.Client:
    """A plain client with the bot's token."""
    return httpx.Client(base_url=emulator.url, headers={"Authorization": f"Bot {emulator.token}"}, trust_env=False)


@asynccontextmanager
async def gateway(emulator: DiscordEmulator, path: str = "/gw") -> AsyncIterator[websockets.ClientConnection]:
    """A plain gateway connection after its Hello."""
    base = emulator.url.replace("http", "ws").removesuffix("/api/v10")
    async with websockets.connect(f"{base}{path}?v=10&encoding=json", proxy=None) as socket:
        hello = await frame(socket)
        assert hello["op"] == 10
        yield socket


async def frame(socket: websockets.ClientConnection) -> dict[str, Any]:
    """The next frame (Any: whatever JSON it is), which must have all four keys."""
    decoded: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), PATIENCE))
    assert set(decoded) == {"op", "d", "s", "t"}
    return decoded


async def held(emulator: DiscordEmulator) -> None:
    """Wait until the fault that is set met somebody."""
    await asyncio.to_thread(emulator.wait, lambda server: not server.journal.faults, "the fault met nobody")


def identify(emulator: DiscordEmulator, intents: int = DM_INTENTS) -> str:
    d = {"token": emulator.token, "intents": intents, "properties": {"os": "linux"}}
    return json.dumps({"op": 2, "d": d})


async def closed(socket: websockets.ClientConnection) -> int | None:
    """The code with which the server closes."""
    await asyncio.wait_for(socket.wait_closed(), PATIENCE)
    return socket.close_code


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
        route = Route("POST", "/channels/{channel_id}/messages", channel_id=emulator.channel_id)
        body = {"content": "once", "nonce": "n-1", "enforce_nonce": True}
        emulator.fail(SEND, "drop", stored=True)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await bot.http.request(route, json=body)
        again = await bot.http.request(route, json=body)
        [sent] = emulator.sent()
        assert int(again["id"]) == sent.id
        await bot.http.request(route, json={"content": "twice", "nonce": "n-1"})
        assert len(emulator.sent()) == 2


async def test_a_drop_is_resumed_and_what_was_missed_is_replayed(emulator: DiscordEmulator) -> None:
    """After a broken connection nextcord resumes at the resume URL and hears what was said in between, once."""
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
    """On opcode 7 nextcord comes back by a resume, with nothing lost or doubled."""
    async with connected(emulator) as bot:
        assert emulator.reconnect() == 1
        await asyncio.wait_for(bot.resumptions.get(), PATIENCE)
        emulator.say("still there?")
        assert (await bot.next()).content == "still there?"
        assert (emulator.identifies(), emulator.resumes(), emulator.peak()) == (1, 1, 1)


async def test_opcode_9_not_resumable_is_a_fresh_identify(emulator: DiscordEmulator) -> None:
    """After opcode 9 nextcord identifies anew; what was said in between comes by history alone."""
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


async def test_history_is_paged_over_a_hundred(emulator: DiscordEmulator) -> None:
    """All of 250 later messages come in order, a hundred a request."""
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
    """Message content without the portal's switch is 4014, and the application's flags tell it beforehand."""
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
    """A client lives through an outage, resumes on the same port, and hears what was said meanwhile."""
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
    """A server that acknowledges nothing and says nothing is left by nextcord, which then resumes."""
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


async def test_a_silent_bot_is_put_out(emulator: DiscordEmulator) -> None:
    """A connection without heartbeats is closed with 4009, and its session is gone."""
    emulator.configure(heartbeat_interval=0.05)
    async with gateway(emulator) as socket:
        await socket.send(identify(emulator))
        assert (await frame(socket))["t"] == "READY"
        assert await closed(socket) == 4009
    assert emulator.gateways() == 0


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("{not json", 4002),
        ('{"op": 99, "d": null}', 4001),
        ('{"op": 3, "d": {}}', 4003),
        ('{"op": 2, "d": {"token": "wrong", "intents": 0, "properties": {}}}', 4004),
        ('{"op": 6, "d": {"token": "wrong", "session_id": "", "seq": 0}}', 4004),
    ],
)
async def test_wrong_frames_close_with_their_code(emulator: DiscordEmulator, sent: str, code: int) -> None:
    """Each wrong frame gets the documented close code."""
    async with gateway(emulator) as socket:
        await socket.send(sent)
        assert await closed(socket) == code


async def test_unknown_intents_and_second_identifies_are_refused(emulator: DiscordEmulator) -> None:
    """Intents that do not exist are 4013, an identify in a session is 4005, and codes come on demand."""
    for intents, code in ((1 << 40, 4013), (DM_INTENTS, 4005)):
        async with gateway(emulator) as socket:
            await socket.send(identify(emulator, intents))
            await socket.send(identify(emulator))
            assert await closed(socket) == code
    emulator.refuse_identify(4008)
    async with gateway(emulator) as socket:
        await socket.send(identify(emulator))
        assert await closed(socket) == 4008


async def test_resumes_that_cannot_be_granted(emulator: DiscordEmulator) -> None:
    """An unknown session is opcode 9, after which an identify is welcome; a sequence of the future is 4007."""
    async with gateway(emulator) as socket:
        d: dict[str, object] = {"token": emulator.token, "session_id": "unknown", "seq": 1}
        await socket.send(json.dumps({"op": 6, "d": d}))
        refused = await frame(socket)
        assert (refused["op"], refused["d"]) == (9, False)
        await socket.send(identify(emulator))
        ready = await frame(socket)
        d["session_id"] = ready["d"]["session_id"]
        await socket.close(4000)
    await asyncio.to_thread(emulator.wait_for_gateways, 0)
    async with gateway(emulator, "/gw-resume") as socket:
        await socket.send(json.dumps({"op": 6, "d": {**d, "seq": 99}}))
        assert await closed(socket) == 4007


async def test_two_gateways_on_one_token_are_counted(emulator: DiscordEmulator) -> None:
    """The peak tells that a token once had two connections, also when one is gone."""
    async with gateway(emulator) as first, gateway(emulator) as second:
        for socket in (first, second):
            await socket.send(identify(emulator))
            await frame(socket)
        assert emulator.gateways(emulator.token) == 2
    await asyncio.to_thread(emulator.wait_for_gateways, 0)
    assert emulator.peak() == 2


async def test_the_first_dm_may_be_announced(emulator: DiscordEmulator) -> None:
    """When switched on, CHANNEL_CREATE comes before a DM's first message and not before its second."""
    emulator.configure(announce_channels=True)
    async with gateway(emulator) as socket:
        await socket.send(identify(emulator))
        await frame(socket)
        emulator.say("one")
        emulator.say("two")
        events = [(await frame(socket))["t"] for _ in range(3)]
    assert events == ["CHANNEL_CREATE", "MESSAGE_CREATE", "MESSAGE_CREATE"]


def test_sends_are_checked(emulator: DiscordEmulator) -> None:
    """Too long, empty, unknown and unwelcome messages get Discord's codes, and nothing is stored."""
    shy = emulator.dm(emulator.add_user("shy", accepts_dms=False))
    with client(emulator) as plain:
        path = f"/channels/{emulator.channel_id}/messages"
        long = plain.post(path, json={"content": "x" * 2001})
        assert (long.status_code, long.json()["code"]) == (400, 50035)
        assert long.json()["errors"]["content"]["_errors"][0]["code"] == "BASE_TYPE_MAX_LENGTH"
        cases = [
            (plain.post(path, json={"content": " "}), 400, 50006),
            (plain.post(path, content=b"{", headers={"content-type": "application/json"}), 400, 50109),
            (plain.post(f"/channels/{shy}/messages", json={"content": "hi"}), 403, 50007),
            (plain.post("/channels/1/messages", json={"content": "hi"}), 404, 10003),
            (plain.get(path, params={"limit": 101}), 400, 50035),
            (plain.post("/users/@me/channels", json={"recipient_id": "1"}), 400, 50033),
        ]
        assert [(answer.status_code, answer.json()["code"]) for answer, _, _ in cases] == [case[1:] for case in cases]
        sent = plain.post(path, json={"content": "hi", "flags": 4}).json()
        edited = plain.patch(f"{path}/{sent['id']}", json={"content": "hi!"}).json()
        assert (edited["content"], edited["flags"], edited["edited_timestamp"] is None) == ("hi!", 4, False)
    assert [message.content for message in emulator.sent()] == ["hi!"]


def test_every_answer_tells_its_limit(emulator: DiscordEmulator) -> None:
    """The headers count down, and the request over the limit is a 429 that says when to come again."""
    emulator.limit("POST /channels/{channel_id}/typing", 2, 5.0)
    with client(emulator) as plain:
        answers = [plain.post(f"/channels/{emulator.channel_id}/typing") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [204, 204, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert 4.0 < answers[2].json()["retry_after"] <= 5.0
    assert answers[2].headers["via"]
    assert answers[2].headers["content-type"] == "application/json"


def test_the_controls_speak_http(emulator: DiscordEmulator) -> None:
    """A test in another process can make people speak, let requests fail, and read the journal."""
    base = emulator.url.removesuffix("/api/v10")
    with httpx.Client(base_url=base, trust_env=False) as control, client(emulator) as plain:
        user = control.post("/_control/users", json={"name": "bob"}).json()["id"]
        said = control.post("/_control/say", json={"user": user, "text": "hi"}).json()
        control.post("/_control/faults", json={"route": "GET /users/@me", "status": 502})
        assert [plain.get("/users/@me").status_code for _ in range(2)] == [502, 200]
        assert plain.get(f"/channels/{said['channel_id']}/messages").json()[0]["content"] == "hi"
        journal = control.get("/_control/journal").json()
        assert [entry["status"] for entry in journal["requests"]] == [502, 200, 200]
        assert control.get("/_control/state").json()["bots"][0]["token"] == emulator.token
        assert control.post("/_control/say", json={"txt": "hi"}).status_code == 400


def test_it_is_used_by_hand() -> None:
    """The program prints where it is, takes lines as a person's messages and prints the bot's."""
    command = [sys.executable, "-m", "tests.emulators.discord", "--token", "by.hand.token"]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        base, token, _help = (process.stdout.readline() for _ in range(3))
        assert token.split()[-1] == "by.hand.token"
        headers = {"Authorization": "Bot by.hand.token"}
        root = base.split()[-1].removesuffix("/api/v10")
        with httpx.Client(base_url=root, headers=headers, trust_env=False) as plain:
            said = plain.post("/_control/say", json={"text": "hello"}).json()
            plain.post(f"/api/v10/channels/{said['channel_id']}/messages", json={"content": "hello, human"})
        assert process.stdout.readline() == "persona -> alice: hello, human\n"
        process.stdin.write("//quit\n")
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
