"""Her messages when a provider fails, refuses or is slow: the same for every provider."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from proto.gateways import Delivered, Undelivered
from tests.worker.gateways.channel import Channel
from tests.worker.gateways.contract.provider import Case, Fate, Provider, picture, refused, stands
from tests.worker.gateways.contract.provider import Standing as Stands

# nextcord passes two arguments that aiohttp has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CASES: Final[list[Case]] = [
    "401",
    "403",
    "409",
    "429 without a time",
    "500",
    "page 200",
    "page 403",
    "page 503",
    "reset",
]
SLOW_CASES: Final[list[Case]] = ["hang", "slow"]
LONG: Final = 300
"""Seconds, longer than a message waits in a gateway."""


def means(outcome: Undelivered) -> Fate:
    """Return what a failure was reported to mean."""
    return Fate(outcome.permanent, outcome.blocked, outcome.ambiguous, outcome.retry_after > 0)


async def fails(provider: Provider, channel: Channel, case: Case) -> None:
    """A send that fails in this way is reported correctly, and affects nothing else."""
    wanted = provider.fate(case)
    provider.front.fail(provider.sending, provider.how(case), 1)
    channel.deliver("one", provider.ann.chat)
    outcome = await refused(channel)
    assert means(outcome) == wanted._replace(stops=None, rule=""), outcome
    if wanted.stops:
        await stands(channel, Stands("stopped", wanted.stops))
        return
    channel.deliver("two", provider.bob.chat, seq=2)
    assert isinstance(await channel.outcome(2), Delivered)
    assert provider.sent(provider.bob) == ["two"]
    assert [state.state for state in channel.states] == ["connected"]


async def goes_on(provider: Provider, channel: Channel) -> None:
    """Later messages go out, to this chat and to others, and the channel's state is unchanged."""
    for seq, person in ((98, provider.ann), (99, provider.bob)):
        channel.deliver("and now?", person.chat, seq=seq)
        assert isinstance(await channel.outcome(seq), Delivered)
        assert provider.sent(person)[-1] == "and now?"
    assert channel.gateway.state().state == "connected"


@pytest.mark.parametrize("case", CASES)
async def test_a_send_that_fails(provider: Provider, tmp_path: Path, case: Case) -> None:
    """A refusal is final or names a wait; a message without an answer may have been taken."""
    async with provider.connected(tmp_path) as channel:
        await fails(provider, channel, case)


@pytest.mark.parametrize("case", SLOW_CASES)
async def test_a_send_that_takes_too_long(provider: Provider, tmp_path: Path, case: Case) -> None:
    """A send that is never answered, or only byte by byte, times out, although the message was taken."""
    async with provider.connected(tmp_path, impatient=True) as channel:
        provider.front.fail(provider.sending, provider.how(case), 1)
        channel.deliver("one", provider.ann.chat)
        assert means(await refused(channel)) == provider.fate(case)
        assert provider.sent(provider.ann) == ["one"]


async def test_a_lost_answer(provider: Provider, tmp_path: Path) -> None:
    """A send whose answer was lost is ambiguous; only the outbox repeats it."""
    async with provider.connected(tmp_path) as channel:
        provider.front.fail(provider.sending, "lost", 1)
        channel.deliver("one", provider.ann.chat)
        assert means(await refused(channel)) == Fate(ambiguous=True)
        assert provider.sent(provider.ann) == ["one"]
        await goes_on(provider, channel)
        assert provider.sent(provider.ann) == ["one", "and now?"]


async def test_a_refused_connection(provider: Provider, tmp_path: Path) -> None:
    """A send that could not connect is not ambiguous, and goes out later."""
    async with provider.connected(tmp_path) as channel:
        await provider.front.down()
        channel.deliver("one", provider.ann.chat)
        assert means(await refused(channel)) == Fate()
        await provider.front.up()
        await channel.in_state("connected")
        await goes_on(provider, channel)


async def test_the_pace_that_a_provider_asks_for(provider: Provider, tmp_path: Path) -> None:
    """A message goes back with the provider's own wait; until then only that chat gets no messages."""
    async with provider.connected(tmp_path) as channel:
        provider.front.fail(provider.sending, provider.refusal(429, LONG), 1)
        channel.deliver("one", provider.ann.chat)
        first = await refused(channel)
        channel.deliver("two", provider.ann.chat, seq=2)
        second = await refused(channel, 2)
        channel.deliver("three", provider.bob.chat, seq=3)
        assert isinstance(await channel.outcome(3), Delivered)
        assert len(provider.front.lines(provider.sending)) == 2
        assert [state.state for state in channel.states] == ["connected"]
    assert means(first) == means(second) == Fate(waits=True)
    assert first.retry_after == LONG
    assert second.retry_after <= LONG


async def test_a_hanging_send_does_not_block_other_chats(provider: Provider, tmp_path: Path) -> None:
    """While a send to one chat hangs, another chat gets its message."""
    async with provider.connected(tmp_path) as channel:
        provider.front.fail(provider.sending, "hang", 1)
        channel.deliver("one", provider.ann.chat)
        await provider.front.until(lambda: provider.front.lines(provider.sending) or None)
        channel.deliver("two", provider.bob.chat, seq=2)
        assert isinstance(await channel.outcome(2), Delivered)
        assert [report.seq for report in channel.reports if isinstance(report, Delivered | Undelivered)] == [2]
        provider.front.heal()
        assert means(await refused(channel)) == Fate(ambiguous=True)


async def test_a_person_who_blocks_her(provider: Provider, tmp_path: Path) -> None:
    """A person who cannot be reached gets nothing more; everybody else still does."""
    async with provider.connected(tmp_path) as channel:
        provider.block(provider.ann)
        channel.deliver("one", provider.ann.chat)
        assert means(await refused(channel)) == Fate(permanent=True, blocked=True)
        channel.deliver("two", provider.bob.chat, seq=2)
        assert isinstance(await channel.outcome(2), Delivered)
        assert (provider.sent(provider.ann), provider.sent(provider.bob)) == ([], ["two"])
        assert [state.state for state in channel.states] == ["connected"]


async def test_credentials_that_are_taken_away_before_a_send(provider: Provider, tmp_path: Path) -> None:
    """The first refused message goes back to the outbox, and all later ones too, without a request."""
    async with provider.connected(tmp_path) as channel:
        provider.front.fail(provider.sending, provider.how("401"))
        channel.deliver("one", provider.ann.chat)
        assert means(await refused(channel)) == Fate()
        state = await stands(channel, Stands("stopped", "credential"))
        assert (bool(state.error), bool(state.hint)) == (True, True)
        channel.deliver("two", provider.bob.chat, seq=2)
        assert means(await refused(channel, 2)) == Fate()
        assert len(provider.front.lines(provider.sending)) == 1


@pytest.mark.parametrize("size", [None, 1], ids=["gone", "too large"])
async def test_a_file_that_cannot_go(provider: Provider, tmp_path: Path, size: int | None) -> None:
    """A file that is gone or too large for the provider fails for good, with a reason that shows no path."""
    async with provider.connected(tmp_path) as channel:
        if size:
            channel.media.mkdir(exist_ok=True)
            with (channel.media / "drawn.png").open("wb") as file:
                file.truncate(provider.largest + size)
        picture(channel, provider.ann, "drawn.png")
        if provider.unsent is None:
            assert isinstance(await channel.outcome(), Delivered)
        else:
            outcome = await refused(channel)
            assert means(outcome) == provider.unsent, outcome
            assert "file" in outcome.reason.lower() or "large" in outcome.reason.lower()
            assert provider.sent(provider.ann) == []
        await goes_on(provider, channel)
