"""The state of a Telegram channel: what goes wrong, how it is reported, and how the channel recovers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from msgspec.structs import replace

from proto.gateways import Gateway, Identify
from proto.secrets import Secret
from tests.emulators.telegram import TelegramEmulator
from tests.worker.gateways.telegram.channel import TIMING, connected, opened
from worker.gateways.identify import identify
from worker.gateways.telegram.account import TelegramAccount
from worker.gateways.telegram.gateway import OWN_CONFLICTS


@pytest.fixture
def telegram() -> Iterator[TelegramEmulator]:
    """Telegram with one bot."""
    with TelegramEmulator() as emulator:
        emulator.add_bot(username="her_bot")
        yield emulator


async def test_connected_after_a_completed_poll(telegram: TelegramEmulator, tmp_path: Path) -> None:
    """A channel is connected once a poll was answered, not when a socket is open, and sets the command menu."""
    telegram.fail("slow", "getUpdates", 1, seconds=0.3)
    async with opened(telegram, tmp_path) as channel:
        await telegram.until_called("getUpdates")
        assert channel.gateway.state().state == "connecting"
        state = await channel.in_state("connected")
        await telegram.until_called("setMyCommands")
        assert (state.bot_id, state.bot_name) == (str(telegram.bot().id), "her_bot")
        assert state.round_trip is not None
        assert state.round_trip < 1.0
        await telegram.until(lambda: telegram.bot().commands)
    assert [command["command"] for command in telegram.bot().commands] == ["start", "hello", "hush", "stop", "restart"]


async def test_menu_that_cannot_be_set(telegram: TelegramEmulator, tmp_path: Path) -> None:
    """If the menu cannot be set, the channel works without it, and the log says so."""
    telegram.fail(400, "setMyCommands")
    async with connected(telegram, tmp_path) as channel:
        telegram.user().write("hi")
        await channel.first()
        await telegram.until_called("setMyCommands")
        await asyncio.to_thread(telegram.wait_until, lambda: "telegram.commands_not_set" in channel.log())


async def test_revoked_token(telegram: TelegramEmulator, tmp_path: Path) -> None:
    """A revoked token stops the channel with a reason and a hint, and Telegram gets no further request."""
    async with connected(telegram, tmp_path) as channel:
        telegram.revoke(telegram.bot())
        state = await channel.in_state("stopped")
        calls = len(telegram.calls())
        channel.gateway.typing("1")
        channel.deliver("hello", 1)
        outcome = await channel.outcome()
        assert len(telegram.calls()) == calls
    assert "refuses the bot's token" in state.error
    assert "@BotFather" in state.hint
    assert getattr(outcome, "permanent", None) is False


@pytest.mark.parametrize("token", ["123456789:AAF-unknown-to-telegram-0123456789abc", "no token"])
async def test_wrong_or_malformed_token(telegram: TelegramEmulator, tmp_path: Path, token: str) -> None:
    """A wrong or malformed token stops the channel at once."""
    async with opened(telegram, tmp_path, token=token) as channel:
        state = await channel.in_state("stopped")
    assert "token" in state.error
    assert "@BotFather" in state.hint


async def test_another_program_polls(telegram: TelegramEmulator, tmp_path: Path) -> None:
    """A second poller is reported, and polls become rare until it is gone."""
    async with connected(telegram, tmp_path) as channel:
        telegram.fail(409, "getUpdates", 2)
        telegram.user().write("wakes the poll that is under way")
        state = await channel.in_state("degraded")
        await channel.in_state("connected")
        polls = telegram.calls("getUpdates")
    refused = [number for number, poll in enumerate(polls) if poll.status == 409]
    assert "Another program polls" in state.error
    assert "Stop the other program" in state.hint
    for number in refused:
        assert polls[number + 1].at - (polls[number].answered_at or 0) >= TIMING.conflict


async def test_conflict_with_our_own_last_poll(telegram: TelegramEmulator, tmp_path: Path) -> None:
    """After a restart Telegram may still hold the last process's poll: that is no other program, and passes soon."""
    telegram.fail(409, "getUpdates", OWN_CONFLICTS)
    async with opened(telegram, tmp_path, timing=replace(TIMING, conflict=1e9)) as channel:
        await channel.in_state("connected")
        assert [state.state for state in channel.states] == ["connected"]


async def test_another_program_polls_at_the_start(telegram: TelegramEmulator, tmp_path: Path) -> None:
    """A conflict that does not pass is reported."""
    telegram.fail(409, "getUpdates", OWN_CONFLICTS + 1)
    async with opened(telegram, tmp_path) as channel:
        state = await channel.in_state("degraded")
        await channel.in_state("connected")
    assert "Another program polls" in state.error


async def test_webhook_is_dropped_without_its_messages(telegram: TelegramEmulator, tmp_path: Path) -> None:
    """A webhook that was left on the bot is removed, and its pending messages arrive."""
    telegram.bot().webhook = {"url": "https://example.org/hook"}
    telegram.user().write("waited")
    async with opened(telegram, tmp_path) as channel:
        [item] = await channel.first()
        assert [state.state for state in channel.states] == ["connected"]
    assert item.content == "waited"


async def test_waits_as_long_as_telegram_asks(telegram: TelegramEmulator, tmp_path: Path) -> None:
    """After a 429 the next poll comes no sooner than Telegram asked."""
    telegram.fail(429, "getUpdates", 1, retry_after=1)
    async with opened(telegram, tmp_path) as channel:
        state = await channel.in_state("degraded")
        await channel.in_state("connected")
        first, second = telegram.calls("getUpdates")[:2]
    assert "wait 1 s" in state.error
    assert second.at - (first.answered_at or 0) >= 1.0


@pytest.mark.parametrize("how", [500, 502, "drop"])
async def test_failures_of_telegram_pass(telegram: TelegramEmulator, tmp_path: Path, how: int | str) -> None:
    """Server errors and broken connections degrade the channel at once, and it recovers by itself."""
    async with connected(telegram, tmp_path) as channel:
        telegram.fail(how, "getUpdates", 3)  # type: ignore[arg-type]  # the parameters are kinds of failures
        person = telegram.user()
        person.write("first")
        state = await channel.in_state("degraded")
        await channel.in_state("connected")
        person.write("second")
        await channel.first(2)
    assert state.error
    assert state.hint


async def test_outage(telegram: TelegramEmulator, tmp_path: Path) -> None:
    """During an outage the round trip ages; messages written meanwhile arrive after it."""
    async with connected(telegram, tmp_path) as channel:
        person = telegram.user()
        await asyncio.to_thread(telegram.down)
        state = await channel.in_state("degraded")
        person.write("while away")
        before = channel.gateway.state().round_trip or 0.0
        await channel.until(lambda: (channel.gateway.state().round_trip or 0.0) > before)
        await asyncio.to_thread(telegram.up)
        [item] = await channel.first()
        assert channel.gateway.state().state == "connected"
    assert "cannot be reached" in state.error
    assert item.content == "while away"


async def test_poll_that_is_never_answered(telegram: TelegramEmulator, tmp_path: Path) -> None:
    """A poll that hangs times out, and another one is made."""
    timing = replace(TIMING, poll=1.0, margin=0.3)
    async with opened(telegram, tmp_path, timing=timing) as channel:
        await channel.in_state("connected")
        telegram.fail("hang", "getUpdates", 1)
        telegram.user().write("wakes the poll that is under way")
        state = await channel.in_state("degraded")
        await channel.in_state("connected")
    assert "did not answer in time" in state.error


async def test_token_is_nowhere(telegram: TelegramEmulator, tmp_path: Path) -> None:
    """Whatever goes wrong, the token appears in no state, report or log line."""
    token = telegram.bot().token
    async with connected(telegram, tmp_path) as channel:
        person = telegram.user()
        for how in ("drop", 502, 500, 409):
            telegram.fail(how, "getUpdates", 1)
        telegram.fail("drop", "file", None)
        telegram.fail("drop", "sendMessage", 1)
        person.send("voice", b"x")
        await channel.first()
        channel.deliver("one", person.id)
        await channel.outcome()
        await asyncio.to_thread(telegram.down)
        await channel.in_state("degraded")
        channel.deliver("two", person.id, seq=2)
        await channel.outcome(2)
        shown = f"{channel.states} {channel.reports} {channel.items} {channel.log()}"
    assert "cannot be reached" in shown
    assert token not in shown
    assert token.partition(":")[2] not in shown


def test_token_in_a_librarys_error() -> None:
    """The token is removed from an HTTP client's error that contains the request's URL."""
    for token in ("123456789:AAF0123456789abcdefghijklmnopqrstuv", "1:short"):
        account = TelegramAccount(Gateway("0" * 16, "telegram", Secret(token)), "https://api.telegram.org")
        error = f"Can not write request body for https://api.telegram.org/bot{token}/sendPhoto"
        found = account.trouble(aiohttp.ClientError(error))
        assert "Can not write request body" in found.reason
        assert token not in found.reason


async def test_identify(telegram: TelegramEmulator) -> None:
    """Identify returns whose token it is."""
    found = await identify(Identify("telegram", Secret(telegram.bot().token), {"telegram": telegram.url}))
    assert (found.bot_id, found.bot_name, found.reason) == (str(telegram.bot().id), "her_bot", "")


@pytest.mark.parametrize(
    ("token", "how", "expected"),
    [
        ("nonsense", None, "not a Telegram bot token"),
        ("123456789:AAF-unknown-to-telegram-0123456789abc", None, "Ask @BotFather"),
        ("", 429, "asks us to wait 5 s"),
        ("", 502, "failed (502)"),
        ("", "drop", "cannot be reached"),
    ],
)
async def test_identify_failures(telegram: TelegramEmulator, token: str, how: int | str | None, expected: str) -> None:
    """An unusable token is refused with a reason that a person can act on, without showing the token."""
    if how:
        telegram.fail(how, "getMe")  # type: ignore[arg-type]  # the parameters are kinds of failures
    token = token or telegram.bot().token
    found = await identify(Identify("telegram", Secret(token), {"telegram": telegram.url}))
    assert expected in found.reason
    assert token not in found.reason
    assert not found.bot_id
