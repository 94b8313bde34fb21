"""Her words while she is still writing them: a provider may show them, and nothing else comes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from proto.conversation import Conversation
from proto.gateways import Delivered
from proto.streaming import Delta
from tests.worker.gateways.channel import Channel
from tests.worker.gateways.contract.provider import Case, Provider

# nextcord passes two arguments that aiohttp has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

DRAFTING: Final = r"/sendMessageDraft$"
ANSWER: Final = "half an answer, and the other half"


async def says(provider: Provider, channel: Channel) -> None:
    """Let her say an answer piece by piece, until the provider was asked to show it and the turn has ended."""
    chat = provider.ann.chat
    for offset in range(0, len(ANSWER), 5):
        place = Conversation("x", "x", channel.gateway.channel, chat)
        channel.gateway.drafting(Delta(1, place, offset, ANSWER[offset : offset + 5]))
    if channel.gateway.sender.may_draft(chat):
        await provider.front.until(lambda: provider.front.lines(DRAFTING))
    channel.gateway.drafts.end(1)


async def test_words_on_their_way_are_no_message(provider: Provider, tmp_path: Path) -> None:
    """Whatever a provider shows of an answer, the person gets it once, as one message."""
    async with provider.connected(tmp_path) as channel:
        await says(provider, channel)
        channel.deliver(ANSWER, provider.ann.chat)
        assert isinstance(await channel.outcome(), Delivered)
        # A gateway that sent her words as messages would have sent them before this one.
        channel.deliver("the next", provider.ann.chat, seq=2)
        assert isinstance(await channel.outcome(2), Delivered)
    assert provider.sent(provider.ann) == [ANSWER, "the next"]


@pytest.mark.parametrize("case", ["401", "403", "429 with a time", "500", "page 403", "reset"])
async def test_what_cannot_be_shown_changes_nothing(provider: Provider, tmp_path: Path, case: Case) -> None:
    """If her words cannot be shown, for whatever reason, the channel stays connected and the answer is sent."""
    provider.front.fail(DRAFTING, provider.how(case), None)
    async with provider.connected(tmp_path) as channel:
        await says(provider, channel)
        channel.deliver(ANSWER, provider.ann.chat)
        assert isinstance(await channel.outcome(), Delivered)
        assert {state.state for state in channel.states} == {"connected"}
    assert provider.sent(provider.ann) == [ANSWER]
