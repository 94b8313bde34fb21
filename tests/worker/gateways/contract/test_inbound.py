"""Inbound messages when a provider fails, forgets or is slow: the same for every provider."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from proto.gateways import Inbound
from tests.emulators.front import Answer
from tests.worker.gateways.channel import Channel
from tests.worker.gateways.contract.provider import Provider, heard

# nextcord passes two arguments that aiohttp has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PICTURE: Final = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
TOO_MUCH: Final = 25 * 2**20 + 1
"""Bytes, more than any gateway fetches."""


async def note_about_picture(channel: Channel, provider: Provider) -> Inbound:
    """Wait for the message that says why the picture is missing; no part of it is kept, and later messages arrive."""
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
    """A picture arrives complete."""
    async with provider.connected(tmp_path) as channel:
        provider.shows(channel, provider.ann, PICTURE)
        [item] = await channel.first()
        assert item.kind == "image"
        assert [path.read_bytes() for path in channel.media.iterdir()] == [PICTURE]
        assert len(provider.front.lines(provider.fetching)) == 1


async def test_a_file_that_is_said_to_be_too_large(provider: Provider, tmp_path: Path) -> None:
    """A note tells her about the file and the limit."""
    async with provider.connected(tmp_path) as channel:
        provider.shows(channel, provider.ann, PICTURE, TOO_MUCH)
        item = await note_about_picture(channel, provider)
        assert "MB" in item.content


async def test_a_file_that_is_larger_than_said(provider: Provider, tmp_path: Path) -> None:
    """The limit applies to the bytes that arrive, whatever size was stated; the file is fetched only once."""
    async with provider.connected(tmp_path) as channel:
        provider.front.fail(provider.fetching, Answer(200, bytes(TOO_MUCH), {"Content-Type": "image/png"}))
        provider.shows(channel, provider.ann, PICTURE)
        item = await note_about_picture(channel, provider)
        assert "MB" in item.content
        assert len(provider.front.lines(provider.fetching)) == 1


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_a_file_that_is_gone(provider: Provider, tmp_path: Path, status: int) -> None:
    """A note tells her about a missing file, which is requested only once."""
    async with provider.connected(tmp_path) as channel:
        provider.front.fail(provider.fetching, Answer(status, b"no", {"Content-Type": "text/plain"}))
        provider.shows(channel, provider.ann, PICTURE)
        await note_about_picture(channel, provider)
        assert len(provider.front.lines(provider.fetching)) == 1


async def test_a_file_that_does_not_come(provider: Provider, tmp_path: Path) -> None:
    """A download that never ends is given up after a few tries, and a note tells her."""
    async with provider.connected(tmp_path, impatient=True) as channel:
        provider.front.fail(provider.fetching, "slow")
        provider.shows(channel, provider.ann, PICTURE)
        await note_about_picture(channel, provider)
        assert 1 <= len(provider.front.lines(provider.fetching)) <= 5


@pytest.mark.parametrize("how", ["reset", "500"])
async def test_a_download_that_breaks_off(provider: Provider, tmp_path: Path, how: str) -> None:
    """The download is tried again, and the file arrives complete."""
    async with provider.connected(tmp_path) as channel:
        fault = Answer(500, b"sorry", {"Content-Type": "text/plain"})
        # aiohttp itself repeats a GET whose connection is dropped, so one failure would prove nothing.
        provider.front.fail(provider.fetching, "reset" if how == "reset" else fault, 2)
        provider.shows(channel, provider.ann, PICTURE)
        [item] = await channel.first()
        assert item.kind == "image"
        assert [path.read_bytes() for path in channel.media.iterdir()] == [PICTURE]


async def test_what_is_not_committed_comes_again(provider: Provider, tmp_path: Path) -> None:
    """A message that was not committed is offered again under its key, before any later message of that person."""
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
    """History that the provider no longer has is skipped: the channel connects and receives new messages."""
    async with provider.connected(tmp_path) as channel:
        provider.says(channel, provider.ann, "before")
        await heard(channel, "before")
        await provider.forget_the_past(channel)
        await channel.in_state("connected")
        for person, text in ((provider.ann, "after"), (provider.bob, "and after")):
            provider.says(channel, person, text)
            await heard(channel, text)
        assert not {"too old", "given up on"} & set(channel.texts)
        assert [channel.texts.count(text) for text in ("before", "after", "and after")] == [1, 1, 1]
        assert channel.gateway.state().state == "connected"
