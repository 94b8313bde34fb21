"""The state of a channel whose provider fails, refuses or is slow: the same for every provider."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from proto.gateways import Delivered
from tests.emulators.front import Asked
from tests.worker.gateways.channel import Channel
from tests.worker.gateways.contract.provider import ASKED_WAIT, Case, Person, Provider, Standing, heard, refused, stands

# nextcord passes two arguments that aiohttp has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

WATCHED: Final = 0.3
"""Seconds in which a retrying gateway would have made several requests."""

TRIED_AGAIN: Final = 3
"""Requests that prove a retry: aiohttp may make the second one itself."""

CASES: Final[list[Case]] = ["403", "409", "500", "page 200", "page 403", "page 503", "reset"]
SLOW_CASES: Final[list[Case]] = ["hang", "slow"]
CREDENTIAL: Final = Standing("stopped", "credential")


def met(provider: Provider) -> list[Asked]:
    """Return the requests that the gateway made while the provider failed."""
    return [one for one in provider.front.lines(provider.listening) if one.fault]


async def hears(provider: Provider, channel: Channel, person: Person, text: str) -> None:
    """A person's message arrives, once."""
    provider.says(channel, person, text)
    await heard(channel, text)


async def has_stopped(provider: Provider, channel: Channel) -> None:
    """The gateway makes no further request, and her messages go back to the outbox to wait."""
    await provider.front.until(lambda: not provider.sockets() or None)
    channel.deliver("are you there?", provider.ann.chat, seq=77)
    channel.gateway.typing(provider.ann.chat)
    back = await refused(channel, 77)
    assert (back.permanent, back.blocked, back.ambiguous) == (False, False, False)
    assert await provider.front.quiet(WATCHED)
    assert channel.states[-1].state == "stopped"


async def comes_back(provider: Provider, channel: Channel) -> None:
    """When the provider has recovered, so does the channel, and every message arrives, once."""
    provider.says(channel, provider.ann, "meanwhile")
    provider.front.heal()
    after = await channel.in_state("connected")
    assert (after.error, after.error_class) == ("", None)
    await heard(channel, "meanwhile")
    await hears(provider, channel, provider.bob, "afterwards")
    assert channel.texts.count("meanwhile") == channel.texts.count("afterwards") == 1


@pytest.mark.parametrize("case", CASES)
async def test_trouble_while_it_runs(provider: Provider, tmp_path: Path, case: Case) -> None:
    """Trouble is reported with its class, a reason and a hint. Her messages still go out if the channel continues."""
    async with provider.connected(tmp_path) as channel:
        wanted = provider.standing(case)
        provider.stop_listening(case)
        tries = 1 if wanted.state == "stopped" else TRIED_AGAIN
        await provider.front.until(lambda: len(met(provider)) >= tries or None)
        state = await stands(channel, wanted)
        assert (bool(state.error), bool(state.hint)) == (True, True)
        if wanted.state == "stopped":
            await has_stopped(provider, channel)
            return
        channel.deliver("still here", provider.bob.chat)
        assert isinstance(await channel.outcome(), Delivered)
        await comes_back(provider, channel)


@pytest.mark.parametrize("case", SLOW_CASES)
async def test_a_provider_that_takes_too_long(provider: Provider, tmp_path: Path, case: Case) -> None:
    """A request that is never answered, or only byte by byte, times out."""
    async with provider.connected(tmp_path, impatient=True) as channel:
        provider.stop_listening(case)
        await provider.front.until(lambda: len(met(provider)) > 1 or None)
        state = await stands(channel, provider.standing(case))
        assert (bool(state.error), bool(state.hint)) == (True, True)
        await comes_back(provider, channel)


async def test_waits_after_a_429_with_a_time(provider: Provider, tmp_path: Path) -> None:
    """After a 429 with a wait, the next request comes no sooner."""
    async with provider.connected(tmp_path) as channel:
        provider.stop_listening("429 with a time", times=1)
        state = await stands(channel, provider.standing("429 with a time"))
        await channel.in_state("connected")
        asked = provider.front.lines(provider.listening)
    number = next(number for number, one in enumerate(asked) if one.fault)
    assert asked[number + 1].at - asked[number].at >= ASKED_WAIT
    assert (bool(state.error), bool(state.hint)) == (True, True)


async def test_waits_after_a_429_without_a_time(provider: Provider, tmp_path: Path) -> None:
    """After a 429 without a wait, the gateway makes no request for a while."""
    async with provider.connected(tmp_path) as channel:
        provider.stop_listening("429 without a time")
        state = await stands(channel, provider.standing("429 without a time"))
        assert await provider.front.quiet(WATCHED)
        assert (bool(state.error), bool(state.hint)) == (True, True)


async def test_bad_credentials(provider: Provider, tmp_path: Path) -> None:
    """Bad credentials are tried once."""
    provider.front.fail(provider.first, provider.how("401"))
    async with provider.opened(tmp_path) as channel:
        state = await stands(channel, CREDENTIAL)
        assert (bool(state.error), bool(state.hint)) == (True, True)
        assert len(provider.front.asked) == 1
        await has_stopped(provider, channel)


async def test_credentials_that_are_taken_away(provider: Provider, tmp_path: Path) -> None:
    """The channel stops at its next request, and says what to do."""
    async with provider.connected(tmp_path) as channel:
        await hears(provider, channel, provider.ann, "before")
        provider.revoke()
        state = await stands(channel, CREDENTIAL)
        assert (bool(state.error), bool(state.hint)) == (True, True)
        await has_stopped(provider, channel)


@pytest.mark.parametrize("case", ["500", "page 200", "page 503", "reset"])
async def test_a_first_request_that_fails(provider: Provider, tmp_path: Path, case: Case) -> None:
    """Whatever fails at first, the channel connects by itself, and meanwhile says what is wrong."""
    provider.front.fail(provider.first, provider.how(case))
    async with provider.opened(tmp_path) as channel:
        state = await channel.until(lambda: next((one for one in channel.states if one.error), None))
        assert (state.error_class, bool(state.hint)) == ("transient", True)
        assert state.state == ("connecting" if state.round_trip is None else "degraded")
        provider.front.heal()
        await channel.in_state("connected")
        await hears(provider, channel, provider.ann, "hello")
