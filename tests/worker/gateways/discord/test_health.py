"""The state of a Discord channel: what goes wrong, how it is reported, and how the channel recovers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from proto.gateways import Identified, Identify
from proto.secrets import Secret
from tests.daemon_process import wait_for
from tests.emulators.discord import DiscordEmulator
from tests.emulators.discord_server import Server
from tests.worker.gateways.discord.channel import SEND, TIMING, DiscordChannel, connected, opened
from worker.gateways.identify import identify

# nextcord passes two arguments that aiohttp has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def discord() -> Iterator[DiscordEmulator]:
    """Discord with one bot and one person."""
    with DiscordEmulator(name="her_bot") as emulator:
        yield emulator


async def works(discord: DiscordEmulator, channel: DiscordChannel, text: str) -> None:
    """A message arrives, once."""
    discord.say(text)
    await channel.until(lambda: text in channel.texts)
    assert channel.texts.count(text) == 1


async def sessions(discord: DiscordEmulator, *, resumed: int, begun: int) -> None:
    """Wait until so many sessions were resumed and begun, and one is open."""

    def there() -> bool:
        return (discord.resumes(), discord.identifies(), discord.gateways()) == (resumed, begun, 1)

    await asyncio.to_thread(wait_for, there, "the sessions")


async def test_connected_after_a_session_has_begun(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A channel is connected once its session has begun, not when the socket is open, and makes no other request."""
    discord.fail("WS /gw", "hang")
    async with opened(discord, tmp_path) as channel:
        await asyncio.to_thread(discord.wait_for_requests, "GET /gateway")
        assert channel.gateway.state().state == "connecting"
        discord.release()
        discord.drop_gateways()
        state = await channel.in_state("connected")
        assert (state.bot_id, state.bot_name) == (str(discord.bot.account.id), "her_bot")
        assert state.round_trip is not None
        assert state.round_trip < 1.0
        routes = {request.route for request in discord.requests()}
        assert routes == {"GET /users/@me", "GET /gateway"}
        [identify] = [frame.d for frame in discord.frames(2)]
        assert identify["intents"] == 1 << 12
    await asyncio.to_thread(discord.wait_for_gateways, 0)


async def test_discord_that_is_down_at_first(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A failed first connection is retried by itself, and meanwhile the state says what is wrong."""
    discord.down()
    async with opened(discord, tmp_path) as channel:
        state = await channel.in_state("connecting")
        assert "cannot be reached" in state.error
        assert state.hint
        assert state.round_trip is None
        discord.up()
        await channel.in_state("connected")
        await works(discord, channel, "hi")


@pytest.mark.parametrize("kind", ["status", "drop", "rate_limit", "cloudflare"])
@pytest.mark.parametrize("route", ["GET /users/@me", "GET /gateway", "WS /gw"])
async def test_first_connection_that_fails(discord: DiscordEmulator, tmp_path: Path, route: str, kind: str) -> None:
    """Whatever fails before the first session, the channel connects in the end."""
    if route == "WS /gw" and kind in ("rate_limit", "cloudflare"):
        pytest.skip("a gateway has no rate limit of this kind")
    if kind == "status":
        discord.fail(route, "status", status=503, times=2)
    else:
        discord.fail(route, kind, times=2, retry_after=0.05)  # type: ignore[arg-type]  # a parameter of the test
    async with opened(discord, tmp_path) as channel:
        await channel.in_state("connected")
        await works(discord, channel, "hi")


async def test_outage(discord: DiscordEmulator, tmp_path: Path) -> None:
    """During an outage the channel is degraded with a reason; afterwards it resumes the session by itself."""
    async with connected(discord, tmp_path) as channel:
        discord.down()
        state = await channel.in_state("degraded")
        assert state.error
        assert "by itself" in state.hint
        discord.up()
        await channel.in_state("connected")
        assert channel.gateway.state().error == ""
        await works(discord, channel, "back again")
        assert discord.resumes() >= 1
        assert discord.peak() == 1


@pytest.mark.parametrize("code", [1000, 1001, 4000, 4001, 4003, 4005, 4007, 4008, 4009])
async def test_closes_that_pass(discord: DiscordEmulator, tmp_path: Path, code: int) -> None:
    """After a close code that is not fatal the channel reconnects."""
    async with connected(discord, tmp_path) as channel:
        discord.close_gateways(code)
        await channel.in_state("degraded")
        await channel.in_state("connected")
        await works(discord, channel, "still there?")


async def test_what_discord_asks_of_a_connection(discord: DiscordEmulator, tmp_path: Path) -> None:
    """Opcode 7 and a resumable opcode 9 resume; any other opcode 9 begins a new session."""
    async with connected(discord, tmp_path) as channel:
        discord.reconnect()
        await sessions(discord, resumed=1, begun=1)
        discord.invalidate(resumable=True)
        await sessions(discord, resumed=2, begun=1)
        discord.invalidate(resumable=False)
        await sessions(discord, resumed=2, begun=2)
        await works(discord, channel, "and now?")


async def test_reconnects_in_a_row(discord: DiscordEmulator, tmp_path: Path) -> None:
    """Reconnects that Discord asks for are no failures: each follows at once, and the channel stays connected."""
    timing = replace(TIMING, shortest=1e6, longest=1e6)
    async with connected(discord, tmp_path, timing=timing) as channel:
        for number in range(1, 7):
            discord.reconnect()
            await sessions(discord, resumed=number, begun=1)
            await works(discord, channel, f"word {number}")
        assert [state.state for state in channel.states] == ["connected"]


async def test_closes_in_a_row(discord: DiscordEmulator, tmp_path: Path) -> None:
    """When Discord closes connections that worked, the next one follows at once, however many there were."""
    timing = replace(TIMING, shortest=1e6, longest=1e6)
    async with connected(discord, tmp_path, timing=timing) as channel:
        for number, code in enumerate((1001, 4000, 4000, 4007, 4009), 1):
            discord.close_gateways(code)
            await channel.until(lambda count=number: [one.state for one in channel.states].count("connected") > count)  # type: ignore[misc]  # mypy does not infer the default's type
            await works(discord, channel, f"word {number}")


async def test_session_that_discord_forgot(discord: DiscordEmulator, tmp_path: Path) -> None:
    """After a refused resume a new session begins."""
    async with connected(discord, tmp_path) as channel:
        discord.forget_sessions()
        discord.drop_gateways()
        discord.close_gateways(4000)
        discord.down()
        discord.up()
        await channel.in_state("degraded")
        await channel.in_state("connected")
        assert discord.identifies() == 2
        await works(discord, channel, "hi")


@pytest.mark.parametrize("code", [4004, 4010, 4011, 4012, 4013, 4014])
async def test_verdicts(discord: DiscordEmulator, tmp_path: Path, code: int) -> None:
    """A fatal close code stops the channel with a reason and a hint; Discord gets no further request."""
    discord.refuse_identify(code)
    async with opened(discord, tmp_path) as channel:
        state = await channel.in_state("stopped")
        assert str(code) in state.error
        assert state.hint
        assert state.error_class == ("credential" if code == 4004 else "config")
        await quiet(discord, channel)


async def test_unknown_token(discord: DiscordEmulator, tmp_path: Path) -> None:
    """An unknown token is tried once, and never shown."""
    token = discord.token[:-8] + "wrong--x"
    async with opened(discord, tmp_path, token=token) as channel:
        state = await channel.in_state("stopped")
        assert "token" in state.error
        assert "developer portal" in state.hint
        assert [request.route for request in discord.requests()] == ["GET /users/@me"]
        await quiet(discord, channel)
        assert token not in channel.log() + repr(channel.states)


async def test_text_that_cannot_be_a_token(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A text that cannot be a token is never sent."""
    async with opened(discord, tmp_path, token="Bot abc\r\nX: y") as channel:
        await channel.in_state("stopped")
        assert discord.requests() == []


async def test_token_that_is_reset(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A token that is reset stops the running channel, whether the gateway or a request notices it first."""
    async with connected(discord, tmp_path) as channel:
        discord.fail(SEND, "status", status=401)
        channel.deliver("hello", discord.channel_id)
        outcome = await channel.outcome()
        assert not getattr(outcome, "permanent", True)
        await channel.in_state("stopped")
        await asyncio.to_thread(discord.wait_for_gateways, 0)
        await quiet(discord, channel)
    async with connected(discord, tmp_path) as channel:
        discord.revoke()
        await channel.in_state("stopped")
        await quiet(discord, channel)


async def test_sends_in_hand_when_the_token_is_reset(discord: DiscordEmulator, tmp_path: Path) -> None:
    """Messages that are waiting when Discord refuses the token go back to the outbox without a request."""
    async with connected(discord, tmp_path) as channel:
        discord.fail(SEND, "status", status=401, times=0)
        for seq in range(1, 9):
            channel.deliver("hello", discord.channel_id, seq=seq)
        for seq in range(1, 9):
            assert not getattr(await channel.outcome(seq), "permanent", True)
        assert len(discord.requests(SEND)) <= 5


async def quiet(discord: DiscordEmulator, channel: DiscordChannel) -> None:
    """Check that a stopped channel makes no request, whatever it is asked to do."""
    await asyncio.to_thread(discord.wait_for_gateways, 0)
    asked, frames = len(discord.requests()), len(discord.frames())
    channel.deliver("hello", discord.channel_id, seq=77)
    channel.gateway.typing(str(discord.channel_id))
    assert "not connected" in getattr(await channel.outcome(77), "reason", "")
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(discord.wait, lambda server: len(server.journal.requests) > asked, "a request", 0.4)
    assert len(discord.frames()) == frames


@pytest.mark.parametrize("event", ["MESSAGE_CREATE", "READY", "CHANNEL_CREATE", "PRESENCE_UPDATE"])
@pytest.mark.parametrize("data", [None, [], {}, {"id": "x"}, {"guild_id": None, "user": 7}])
async def test_malformed_event(discord: DiscordEmulator, tmp_path: Path, event: str, data: object) -> None:
    """An event that cannot be parsed is logged, and the next message arrives."""
    async with connected(discord, tmp_path) as channel:
        discord.dispatch(event, data)
        await works(discord, channel, "after it")


async def test_stream_of_nonsense(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A connection with nothing but unreadable frames is replaced."""
    async with connected(discord, tmp_path) as channel:
        for _ in range(30):
            discord.dispatch("MESSAGE_CREATE", [])
        state = await channel.in_state("degraded")
        assert "does not follow Discord's protocol" in state.error
        await channel.in_state("connected")
        await works(discord, channel, "after it")


async def test_silent_connection(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A connection without answered heartbeats is replaced, even if events still arrive."""
    discord.configure(heartbeat_interval=0.1)
    async with connected(discord, tmp_path, timing=replace(TIMING, silence=0.6)) as channel:
        discord.configure(acks=False)
        state = await channel.in_state("degraded")
        assert "in time" in state.error
        discord.configure(acks=True)
        await channel.in_state("connected")
        await works(discord, channel, "hi")


async def test_round_trip_is_that_of_answered_heartbeats(discord: DiscordEmulator, tmp_path: Path) -> None:
    """The round trip stays small while heartbeats are answered, and grows while they are not."""
    discord.configure(heartbeat_interval=0.1)
    async with connected(discord, tmp_path) as channel:
        await heartbeats(discord, 5)
        assert (channel.gateway.state().round_trip or 0.0) < 0.3
        discord.configure(acks=False)
        await heartbeats(discord, 6)
        assert (channel.gateway.state().round_trip or 0.0) > 0.4


async def heartbeats(discord: DiscordEmulator, count: int) -> None:
    """Wait for this many more heartbeats from the bot."""
    wanted = len(discord.frames(1)) + count

    def reached(server: Server) -> bool:
        return sum(frame.op == 1 for frame in server.journal.frames) >= wanted

    await asyncio.to_thread(discord.wait, reached, f"{count} heartbeats")


async def test_new_sessions_are_rationed(discord: DiscordEmulator, tmp_path: Path) -> None:
    """If Discord ends every new session at once, the channel does not begin thousands of them."""
    discord.refuse_identify(*[4000] * 500)
    quick = replace(TIMING, shortest=0.001, longest=0.001)
    async with opened(discord, tmp_path, timing=quick) as channel:
        await asyncio.to_thread(discord.wait_for_requests, "GET /gateway", 51)
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(discord.wait_for_requests, "GET /gateway", 53, timeout=0.5)
        assert len(discord.frames(2)) == 50
        assert channel.gateway.state().state == "degraded"


async def test_identify(discord: DiscordEmulator) -> None:
    """A good token has a name; a bad or malformed token, an outage and a rate limit give reasons to act on."""

    async def ask(token: Secret) -> Identified:
        return await identify(Identify("discord", token, {"discord": discord.url}))

    found = await ask(Secret(discord.token))
    assert (found.bot_id, found.bot_name, found.reason) == (str(discord.bot.account.id), "her_bot", "")
    assert "portal" in (await ask(Secret(discord.token[:-4] + "xxxx"))).reason
    assert "not a Discord bot token" in (await ask(Secret("Bot x"))).reason
    discord.fail("GET /users/@me", "cloudflare", retry_after=7)
    assert "wait 7 s" in (await ask(Secret(discord.token))).reason
    discord.fail("GET /users/@me", "status", status=503)
    assert "503" in (await ask(Secret(discord.token))).reason
    discord.down()
    reason = (await ask(Secret(discord.token))).reason
    assert "cannot be reached" in reason
    assert discord.token not in reason
