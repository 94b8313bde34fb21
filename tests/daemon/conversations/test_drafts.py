"""Drafts on sockets: they come as they are, and never at the cost of a frame."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from daemon.conversations.frames import Ending, chat_frame
from daemon.conversations.hubs import Hubs, Socket
from daemon.ledger import Ledger
from daemon.runtime.clock import SystemClock
from daemon.settings.settings import Limits
from proto.records import Organ, Persona
from tests.patience import PATIENCE

EVE = "11111111-1111-4111-8111-111111111111"
PERSONA = Persona(EVE, "Eve", Organ("m"))
QUEUE = 16


@pytest.fixture
async def hubs(tmp_path: Path) -> AsyncIterator[Hubs]:
    ledger = await Ledger.open(tmp_path / "ledger.db")
    yield Hubs(ledger, Limits(sockets=8, socket_queue=QUEUE), 0, SystemClock())
    await ledger.close()


async def queued(socket: Socket) -> list[dict[str, Any]]:  # Any: JSON
    return [json.loads(frame) for frame in await asyncio.wait_for(socket.get(), PATIENCE)]


def delta(turn: int, offset: int, text: str) -> dict[str, object]:
    return {"type": "chat_delta", "persona_id": EVE, "turn": turn, "offset": offset, "text": text}


async def test_each_delta_is_a_frame_without_a_seq(hubs: Hubs) -> None:
    """A socket that keeps up gets what is new, and from where on it is."""
    socket = hubs.connect(EVE)
    hubs.draft(EVE, 3, 0, "Good")
    assert await queued(socket) == [delta(3, 0, "Good")]
    hubs.draft(EVE, 3, 4, " morning")
    assert await queued(socket) == [delta(3, 4, " morning")]
    hubs.draft(EVE, 3, 0, "No")
    assert await queued(socket) == [delta(3, 0, "No")]


async def test_a_slow_socket_gets_one_delta_for_many(hubs: Hubs) -> None:
    """What it has missed is merged, and its queue stays free for real frames, which come first."""
    socket = hubs.connect(EVE)
    hubs.draft(EVE, 3, 0, "0")
    await queued(socket)
    for number in range(1, 10_000):
        hubs.draft(EVE, 3, number, "x")
    for _ in range(QUEUE):
        hubs.signal("Event", "Said", PERSONA, {})
    *frames, last = await queued(socket)
    assert [frame["title"] for frame in frames] == ["Said"] * QUEUE
    assert last == delta(3, 1, "x" * 9_999)


async def test_a_restart_that_was_missed_replaces_everything(hubs: Hubs) -> None:
    """However much of either answer the socket had not sent, it ends with the words of the second one."""
    socket = hubs.connect(EVE)
    hubs.draft(EVE, 3, 0, "Good morning")
    await queued(socket)
    hubs.draft(EVE, 3, 12, ", Sam")
    hubs.draft(EVE, 3, 0, "Well")
    hubs.draft(EVE, 3, 4, " now")
    assert await queued(socket) == [delta(3, 0, "Well now")]


async def test_nothing_of_a_draft_follows_its_message(hubs: Hubs) -> None:
    """The message names the turn that it ends; the next turn's words come after it."""
    socket = hubs.connect(EVE)
    hubs.draft(EVE, 3, 0, "Good mor")
    slot = hubs.reserve(EVE)
    hubs.end_draft(EVE, 3, said=True)
    slot.publish(chat_frame(EVE, slot.seq, "text", "Good morning", None, Ending(3, hushed=True)))
    hubs.draft(EVE, 4, 0, "And")
    message, following = await queued(socket)
    assert (message["content"], message["turn"], message["hushed"]) == ("Good morning", 3, True)
    assert following == delta(4, 0, "And")


async def test_a_turn_that_ends_without_a_message_says_so(hubs: Hubs) -> None:
    """An empty delta takes back what was shown."""
    socket = hubs.connect(EVE)
    hubs.draft(EVE, 3, 0, "Good mor")
    hubs.end_draft(EVE, 3, said=False)
    assert await queued(socket) == [delta(3, 0, "")]


async def test_a_socket_that_comes_in_the_middle_gets_all_of_it(hubs: Hubs) -> None:
    """Its first delta has the whole text so far; after the end there is none."""
    hubs.draft(EVE, 3, 0, "Good")
    hubs.draft(EVE, 3, 4, " mor")
    late = hubs.connect(EVE)
    hubs.draft(EVE, 3, 8, "ning")
    assert await queued(late) == [delta(3, 0, "Good morning")]
    hubs.end_draft(EVE, 3, said=True)
    after = hubs.connect(EVE)
    hubs.signal("Event", "Said", PERSONA, {})
    assert [frame["type"] for frame in await queued(after)] == ["Event"]


async def test_a_draft_is_never_replayed(hubs: Hubs) -> None:
    """``?after=`` asks for frames with a seq."""
    hubs.draft(EVE, 3, 0, "Good")
    hubs.end_draft(EVE, 3, said=True)
    socket = hubs.connect(EVE)
    assert [frame async for frame in hubs.replay(socket, time.time_ns() // 1000 - 10**6)] == []
