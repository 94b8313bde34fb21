"""What people send when a provider fails, forgets or is slow: the same for every provider."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from proto.gateways import Inbound
from tests.emulators.front import Answer
from tests.worker.gateways.channel import Channel
from tests.worker.gateways.contract.provider import Provider, heard

# aiohttp calls two arguments of nextcord's deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PICTURE: Final = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
TOO_MUCH: Final = 25 * 2**20 + 1
"""Bytes; more than any gateway fetches."""


async def told_of(channel: Channel, provider: Provider) -> Inbound:
    """Wait for the picture's message, which says why there is none; nothing of it is kept, and later words come."""
    [item] = await channel.first()
    assert (item.kind, item.media) == ("text", None)
    assert "Tell them" in item.content
    assert not channel.media.exists() or list(channel.media.iterdir()) == []
    for person in (provider.ann, provider.bob):
        provider.says(channel, person, f"{person.account} goes on")
        await heard(channel, f"{person.account} goes on")
    await channel.in_state("connected")
    return item


async def test_a_picture(provider: Provider, tmp_path: Path) -> None:
    """A picture comes whole."""
    async with provider.connected(tmp_path) as channel:
        provider.shows(channel, provider.ann, PICTURE)
        [item] = await channel.first()
        assert item.kind == "image"
        assert [path.read_bytes() for path in channel.media.iterdir()] == [PICTURE]
        assert len(provider.front.lines(provider.fetching)) == 1


async def test_a_file_that_is_said_to_be_too_large(provider: Provider, tmp_path: Path) -> None:
    """She is told of it and of the limit."""
    async with provider.connected(tmp_path) as channel:
        provider.shows(channel, provider.ann, PICTURE, TOO_MUCH)
        item = await told_of(channel, provider)
        assert "MB" in item.content


async def test_a_file_that_is_larger_than_said(provider: Provider, tmp_path: Path) -> None:
    """The limit holds for what comes, whatever was said of it; it is fetched once."""
    async with provider.connected(tmp_path) as channel:
        provider.front.fail(provider.fetching, Answer(200, bytes(TOO_MUCH), {"Content-Type": "image/png"}))
        provider.shows(channel, provider.ann, PICTURE)
        item = await told_of(channel, provider)
        assert "MB" in item.content
        assert len(provider.front.lines(provider.fetching)) == 1


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_a_file_that_is_gone(provider: Provider, tmp_path: Path, status: int) -> None:
    """She is told of it; a file that is not there is asked for once."""
    async with provider.connected(tmp_path) as channel:
        provider.front.fail(provider.fetching, Answer(status, b"no", {"Content-Type": "text/plain"}))
        provider.shows(channel, provider.ann, PICTURE)
        await told_of(channel, provider)
        assert len(provider.front.lines(provider.fetching)) == 1


async def test_a_file_that_does_not_come(provider: Provider, tmp_path: Path) -> None:
    """A download that goes on for ever is given up after a few tries, and she is told of it."""
    async with provider.connected(tmp_path, impatient=True) as channel:
        provider.front.fail(provider.fetching, "slow")
        provider.shows(channel, provider.ann, PICTURE)
        await told_of(channel, provider)
        assert 1 <= len(provider.front.lines(provider.fetching)) <= 5


@pytest.mark.parametrize("how", ["reset", "500"])
async def test_a_download_that_breaks_off(provider: Provider, tmp_path: Path, how: str) -> None:
    """It is tried again, and the file comes whole."""
    async with provider.connected(tmp_path) as channel:
        fault = Answer(500, b"sorry", {"Content-Type": "text/plain"})
        # aiohttp repeats a GET by itself whose connection is dropped: one shows nothing.
        provider.front.fail(provider.fetching, "reset" if how == "reset" else fault, 2)
        provider.shows(channel, provider.ann, PICTURE)
        [item] = await channel.first()
        assert item.kind == "image"
        assert [path.read_bytes() for path in channel.media.iterdir()] == [PICTURE]


async def test_what_is_not_committed_comes_again(provider: Provider, tmp_path: Path) -> None:
    """What the daemon did not take is offered again under its key, before anything that the person said later."""
    async with provider.connected(tmp_path) as channel:
        channel.refusals = 2
        provider.says(channel, provider.ann, "keep me")
        await channel.first()
        provider.says(channel, provider.ann, "and me")
        items = await channel.first(2)
        assert [item.content for item in items] == ["keep me", "and me"]
        offered = [item.key for batch in channel.offers for item in batch]
        assert offered == [items[0].key] * 3 + [items[1].key]


async def test_a_past_that_is_gone(provider: Provider, tmp_path: Path) -> None:
    """What the provider has no more is let go: the channel is connected, and hears what is said from now on."""
    async with provider.connected(tmp_path) as channel:
        provider.says(channel, provider.ann, "before")
        await heard(channel, "before")
        await provider.forget_the_past(channel)
        await channel.in_state("connected")
        for person, words in ((provider.ann, "after"), (provider.bob, "and after")):
            provider.says(channel, person, words)
            await heard(channel, words)
        assert not {"too old", "given up on"} & set(channel.words)
        assert [channel.words.count(words) for words in ("before", "after", "and after")] == [1, 1, 1]
        assert channel.gateway.state().state == "connected"
