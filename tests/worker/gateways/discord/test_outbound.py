"""Her messages on Discord: split, sent once, and reported accurately."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from proto.gateways import Delivered, PartSent, Say, Undelivered
from tests.emulators.discord import DiscordEmulator
from tests.worker.gateways.discord.channel import SEND, connected, opened

# nextcord passes two arguments that aiohttp has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TYPING = "POST /channels/{channel_id}/typing"


@pytest.fixture
def discord() -> Iterator[DiscordEmulator]:
    """Discord with one bot and one person."""
    with DiscordEmulator() as emulator:
        yield emulator


async def test_text(discord: DiscordEmulator, tmp_path: Path) -> None:
    """Markdown is sent unchanged; nobody is pinged and no link is previewed."""
    async with connected(discord, tmp_path) as channel:
        channel.deliver("**hi** <@1> @everyone https://example.org", discord.channel_id)
        assert await channel.outcome() == Delivered(1)
        [sent] = discord.sent()
        assert sent.content == "**hi** <@1> @everyone https://example.org"
        [request] = discord.requests(SEND)
        assert request.body["allowed_mentions"] == {"parse": []}
        assert request.body["flags"] == 4
        assert request.body["enforce_nonce"] is True
        assert len(request.body["nonce"]) == 25


async def test_long_text(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A long text is sent in parts of at most 2,000 characters; a split code block is closed and reopened."""
    code = "\n".join(f"line {number}" for number in range(600))
    async with connected(discord, tmp_path) as channel:
        channel.deliver(f"Look:\n\n```python\n{code}\n```\n\nThat is all.", discord.channel_id)
        assert await channel.outcome() == Delivered(1)
        texts = [message.content for message in discord.sent()]
        assert len(texts) == len(channel.reports) + 1 > 2
        assert channel.reports == [PartSent(1, number) for number in range(1, len(texts))]
        assert all(len(text) <= 2000 and text.count("```") % 2 == 0 for text in texts)
        lines = [line for text in texts for line in text.splitlines() if line.startswith("line")]
        assert "\n".join(lines) == code


async def test_parts_that_are_sent_already(discord: DiscordEmulator, tmp_path: Path) -> None:
    """An interrupted delivery continues with the next part."""
    text = " ".join(["word"] * 1000)
    async with connected(discord, tmp_path) as channel:
        channel.deliver(text, discord.channel_id, parts_sent=1)
        assert await channel.outcome() == Delivered(1)
        later = [message.content for message in discord.sent()]
        channel.deliver(text, discord.channel_id, seq=2)
        await channel.outcome(2)
        whole = [message.content for message in discord.sent()][len(later) :]
        assert whole[1:] == later


async def test_answer_that_is_lost(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A send whose answer is lost is ambiguous; sending it again makes no second message."""
    async with connected(discord, tmp_path) as channel:
        discord.fail(SEND, "drop", stored=True)
        channel.deliver("once", discord.channel_id)
        lost = await channel.outcome()
        assert isinstance(lost, Undelivered)
        assert lost.ambiguous
        assert not lost.permanent
        channel.deliver("once", discord.channel_id, ambiguous=True)
        assert await channel.outcome() == Delivered(1)
        assert [message.content for message in discord.sent()] == ["once"]


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_fault_of_discord(discord: DiscordEmulator, tmp_path: Path, status: int) -> None:
    """A server error is reported at once as ambiguous; only the outbox repeats the message."""
    async with connected(discord, tmp_path) as channel:
        discord.fail(SEND, "status", status=status)
        channel.deliver("hi", discord.channel_id)
        outcome = await channel.outcome()
        assert isinstance(outcome, Undelivered)
        assert (outcome.ambiguous, outcome.permanent) == (True, False)
        assert str(status) in outcome.reason
        assert len(discord.requests(SEND)) == 1


@pytest.mark.parametrize("kind", ["rate_limit", "shared", "global", "cloudflare"])
async def test_rate_limit(discord: DiscordEmulator, tmp_path: Path, kind: str) -> None:
    """A 429 goes back with its wait instead of blocking, and does not hold up later messages."""
    async with connected(discord, tmp_path) as channel:
        discord.fail(SEND, kind, retry_after=1.0)  # type: ignore[arg-type]  # a parameter of the test
        channel.deliver("hi", discord.channel_id)
        outcome = await channel.outcome()
        assert isinstance(outcome, Undelivered)
        assert (outcome.retry_after, outcome.ambiguous, outcome.permanent) == (1.0, False, False)
        channel.deliver("hi", discord.channel_id)
        assert await channel.outcome() == Delivered(1)
        assert channel.gateway.state().state == "connected"


async def test_long_rate_limit(discord: DiscordEmulator, tmp_path: Path) -> None:
    """During a long rate limit a message goes back to the outbox without a request."""
    async with connected(discord, tmp_path) as channel:
        discord.fail(SEND, "global", retry_after=600.0)
        channel.deliver("hi", discord.channel_id)
        await channel.outcome()
        channel.deliver("hi", discord.channel_id)
        outcome = await channel.outcome()
        assert isinstance(outcome, Undelivered)
        assert 500 < outcome.retry_after <= 600
        assert len(discord.requests(SEND)) == 1


async def test_person_who_accepts_no_messages(discord: DiscordEmulator, tmp_path: Path) -> None:
    """Code 50007 blocks the chat, with a reason that says why."""
    shut = discord.add_user("bob", accepts_dms=False)
    async with connected(discord, tmp_path) as channel:
        channel.deliver("hi", discord.dm(shut))
        outcome = await channel.outcome()
        assert isinstance(outcome, Undelivered)
        assert (outcome.permanent, outcome.blocked) == (True, True)
        assert "Cannot send messages to this user" in outcome.reason


async def test_refusals_for_good(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A chat that does not exist, or is not the bot's, fails for good with Discord's reason."""
    other = discord.add_bot("other")
    foreign = discord.dm(discord.add_user("eve"), other.token)
    async with connected(discord, tmp_path) as channel:
        for seq, (chat, reason) in enumerate([(7, "Unknown Channel"), (foreign, "Missing Access")], 1):
            channel.deliver("hi", chat, seq=seq)
            outcome = await channel.outcome(seq)
            assert isinstance(outcome, Undelivered)
            assert (outcome.permanent, outcome.blocked) == (True, False)
            assert reason in outcome.reason


@pytest.mark.parametrize(("kind", "name"), [("image", "cat.png"), ("audio", "voice.ogg")])
async def test_file(discord: DiscordEmulator, tmp_path: Path, kind: str, name: str) -> None:
    """A picture or recording that she made is sent once, as a file with its text."""
    async with connected(discord, tmp_path) as channel:
        channel.media.mkdir()
        (channel.media / name).write_bytes(b"bytes")
        discord.fail(SEND, "drop", stored=True)
        channel.deliver("here", discord.channel_id, kind=kind, media=name)
        assert isinstance(await channel.outcome(), Undelivered)
        channel.deliver("here", discord.channel_id, kind=kind, media=name, ambiguous=True)
        assert await channel.outcome() == Delivered(1)
        [sent] = discord.sent()
        assert sent.content == "here"
        [attachment] = sent.attachments
        assert (attachment.upload.filename, attachment.upload.data) == (name, b"bytes")


async def test_file_with_a_long_text(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A text that is too long to accompany a file follows it."""
    async with connected(discord, tmp_path) as channel:
        channel.media.mkdir()
        (channel.media / "cat.png").write_bytes(b"png")
        channel.deliver("word " * 500, discord.channel_id, kind="image", media="cat.png")
        assert await channel.outcome() == Delivered(1)
        first, *rest = discord.sent()
        assert (first.content, len(first.attachments)) == ("", 1)
        assert len(rest) == 2


async def test_files_that_cannot_go(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A file that is gone or too large for Discord fails for good."""
    async with connected(discord, tmp_path) as channel:
        channel.media.mkdir()
        (channel.media / "huge.wav").write_bytes(bytes(10 * 2**20 + 1))
        for seq, (name, reason) in enumerate([("gone.png", "No such file"), ("huge.wav", "over 10 MB")], 1):
            channel.deliver("", discord.channel_id, seq=seq, kind="image", media=name)
            outcome = await channel.outcome(seq)
            assert isinstance(outcome, Undelivered)
            assert outcome.permanent
            assert reason in outcome.reason


async def test_not_connected(discord: DiscordEmulator, tmp_path: Path) -> None:
    """Before the first connection a delivery goes back to the outbox at once."""
    discord.down()
    async with opened(discord, tmp_path) as channel:
        channel.deliver("hi", 7)
        outcome = await channel.outcome()
        assert isinstance(outcome, Undelivered)
        assert (outcome.permanent, outcome.ambiguous) == (False, False)


async def test_outage(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A send that cannot connect during an outage is not ambiguous."""
    async with connected(discord, tmp_path) as channel:
        discord.down()
        await channel.in_state("degraded")
        channel.deliver("hi", discord.channel_id)
        outcome = await channel.outcome()
        assert isinstance(outcome, Undelivered)
        assert (outcome.permanent, outcome.ambiguous) == (False, False)


async def test_say(discord: DiscordEmulator, tmp_path: Path) -> None:
    """A pairing code is sent once; a failure is only logged."""
    async with connected(discord, tmp_path) as channel:
        channel.gateway.say(Say(channel.gateway.channel, str(discord.channel_id), "Your code: AB12CD"))
        [sent] = await asyncio.to_thread(discord.wait_for_sent)
        assert sent.content == "Your code: AB12CD"
        channel.gateway.say(Say(channel.gateway.channel, "7", "Your code: AB12CD"))
        await asyncio.to_thread(discord.wait_for_requests, SEND, 2)
        channel.deliver("end", discord.channel_id)
        await channel.outcome()
        assert "gateway.say_failed" in channel.log()
        assert "AB12CD" not in channel.log()


async def test_typing(discord: DiscordEmulator, tmp_path: Path) -> None:
    """Typing is shown, leaves room for the message, and may fail without consequences."""
    async with connected(discord, tmp_path) as channel:
        chat = str(discord.channel_id)
        discord.fail(TYPING, "status", status=500)
        for _ in range(20):
            channel.gateway.typing(chat)
        channel.deliver("hi", discord.channel_id)
        assert await channel.outcome() == Delivered(1)
        await asyncio.to_thread(discord.wait_for_requests, TYPING, 4)
        assert len(discord.requests(TYPING)) == 4
        assert channel.gateway.state().state == "connected"


async def test_pace(discord: DiscordEmulator, tmp_path: Path) -> None:
    """Discord's real rate limits for a chat are respected without a single refusal."""
    discord.limit(SEND, 5, 1.0)
    async with connected(discord, tmp_path) as channel:
        for seq in range(1, 9):
            channel.deliver(str(seq), discord.channel_id, seq=seq)
            assert await channel.outcome(seq) == Delivered(seq)
        assert [message.content for message in discord.sent()] == [str(seq) for seq in range(1, 9)]
        assert all(request.status == 200 for request in discord.requests(SEND))


async def test_a_repetition_that_discord_may_not_know_is_marked(discord: DiscordEmulator, tmp_path: Path) -> None:
    """Long after a send whose answer was lost, the next try is marked as a possible repetition."""
    async with connected(discord, tmp_path) as channel:
        channel.deliver("late", discord.channel_id, ambiguous=True)
        await channel.outcome()
    assert [message.content for message in discord.sent()] == ["(perhaps repeated)\nlate"]
