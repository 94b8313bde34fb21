"""Her status in Slack's threads, while she thinks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from proto.conversation import Conversation
from proto.gateways import Delivered
from proto.streaming import Delta
from tests.emulators.slack import SlackEmulator
from tests.patience import PATIENCE
from tests.worker.gateways.channel import Channel
from tests.worker.gateways.slack.channel import connected

METHOD = "assistant.threads.setStatus"

T = TypeVar("T")


@pytest.fixture
def slack() -> Iterator[SlackEmulator]:
    """A workspace with one app."""
    with SlackEmulator() as emulator:
        yield emulator


async def seen(emulator: SlackEmulator, condition: Callable[[], T | None]) -> T:
    """Wait until Slack has seen something."""
    return await asyncio.to_thread(emulator.wait, condition, "Slack")


async def thread(emulator: SlackEmulator, channel: Channel, place: str = "C1") -> str:
    """Let somebody mention her in a channel, and return the thread that this begins."""
    emulator.say(emulator.person("Ann"), "<@U0BOT> what now?", channel=place)
    return await channel.until(lambda: next((one.chat for one in channel.items if one.chat.startswith(place)), None))


async def test_a_thread_shows_that_she_thinks(slack: SlackEmulator, tmp_path: Path) -> None:
    """The status appears in the thread, once, and her answer, which is one message, removes it."""
    async with connected(slack, tmp_path) as channel:
        chat = await thread(slack, channel)
        place = (chat.partition(":")[0], chat.partition(":")[2])
        for _ in range(3):
            channel.gateway.typing(chat)
        await seen(slack, lambda: slack.statuses.get(place))
        channel.gateway.typing(chat)
        channel.gateway.drafting(Delta(1, Conversation("slack", "slack", channel.gateway.channel, chat), 0, "half an"))
        channel.deliver("half an answer and the rest", chat)
        assert await channel.outcome() == Delivered(1)
    assert slack.statuses_set == [(*place, "is typing...")]
    assert slack.statuses == {}
    assert slack.texts("C1") == ["half an answer and the rest"]
    assert not [method for method in slack.calls if "Stream" in method]


async def test_a_late_status_does_not_outlive_the_answer(slack: SlackEmulator, tmp_path: Path) -> None:
    """An answer waits for the status on its way, and the next turn shows one again."""
    async with connected(slack, tmp_path) as channel:
        chat = await thread(slack, channel)
        slack.fail(METHOD, slow=0.3)
        channel.gateway.typing(chat)
        channel.deliver("answer", chat)
        assert await channel.outcome() == Delivered(1)
        assert len(slack.statuses_set) == 1
        assert slack.statuses == {}
        async with asyncio.timeout(PATIENCE):
            while len(slack.statuses_set) < 2:
                channel.gateway.typing(chat)
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("error", ["missing_scope", "unknown_method", "not_allowed_token_type"])
async def test_an_app_that_may_not(slack: SlackEmulator, tmp_path: Path, error: str) -> None:
    """An app without the right shows no status, is not asked again, and answers as it always did."""
    slack.fail(METHOD, error=error)
    async with connected(slack, tmp_path) as channel:
        for seq in (1, 2):
            chat = await thread(slack, channel, f"C{seq}")
            channel.gateway.typing(chat)
            channel.deliver(f"answer {seq}", chat, seq=seq)
            assert await channel.outcome(seq) == Delivered(seq)
        assert {state.state for state in channel.states} == {"connected"}
    assert slack.calls.count(METHOD) == 1


async def test_a_status_that_is_limited_holds_no_message(slack: SlackEmulator, tmp_path: Path) -> None:
    """A 429 for a status is nothing to an answer."""
    slack.fail(METHOD, error="ratelimited", status=429, retry_after=3600)
    async with connected(slack, tmp_path) as channel:
        chat = await thread(slack, channel)
        channel.gateway.typing(chat)
        await seen(slack, lambda: slack.calls.count(METHOD))
        channel.deliver("answer", chat)
        assert await channel.outcome() == Delivered(1)


async def test_direct_messages_have_no_status(slack: SlackEmulator, tmp_path: Path) -> None:
    """A status needs a thread; an answer beside one would not remove it."""
    ann = slack.person("Ann")
    async with connected(slack, tmp_path) as channel:
        channel.gateway.typing(slack.direct(ann))
        channel.deliver("answer", slack.direct(ann))
        assert await channel.outcome() == Delivered(1)
    assert METHOD not in slack.calls
