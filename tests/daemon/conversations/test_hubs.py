"""The hubs: frames come in the order of ``seq``, without gaps or repeats, over reconnects and slow readers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from daemon.conversations.hubs import Hubs, HubsRefusal, Socket, SocketClosed
from daemon.ledger import Ledger
from daemon.runtime.clock import SystemClock
from daemon.settings.settings import Limits
from proto.messages import Conversation, Outgoing
from proto.records import Organ, Persona
from proto.secrets import Secret
from tests.patience import PATIENCE

EVE = "11111111-1111-4111-8111-111111111111"
WEB = Conversation("web", EVE)
PERSONA = Persona(EVE, "Eve", Organ("m"))
OTHER = Persona("22222222-2222-4222-8222-222222222222", "Adam", Organ("m"))


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    ledger = await Ledger.open(tmp_path / "ledger.db")
    yield ledger
    await ledger.close()


@pytest.fixture
def hubs(ledger: Ledger) -> Hubs:
    return Hubs(ledger, Limits(sockets=8, socket_queue=16), 0, SystemClock())


async def say(hubs: Hubs, ledger: Ledger, words: str) -> int:
    """Say something in her name as the daemon does: reserve, commit, publish."""
    slot = hubs.reserve(EVE)
    await store(ledger, words, slot.seq)
    slot.publish({"type": "chat_message", "persona_id": EVE, "content": words})
    return slot.seq


async def store(ledger: Ledger, words: str, seq: int) -> None:
    number = await ledger.accept(EVE, WEB, "text", "?", None, time.time_ns(), None)
    assert number is not None
    assert await ledger.answer(EVE, [number], WEB, [Outgoing(words)], [seq], time.time_ns())


async def queued(socket: Socket) -> list[dict[str, Any]]:
    """The frames that the hubs have sent to this socket."""
    return [json.loads(frame) for frame in await asyncio.wait_for(socket.get(), PATIENCE)]


async def missed(hubs: Hubs, socket: Socket, after: int) -> list[dict[str, Any]]:
    return [json.loads(frame) async for frame in hubs.replay(socket, after)]


async def test_seq_grows_over_restarts(ledger: Ledger) -> None:
    """A daemon whose clock went back still numbers its frames above the earlier ones."""
    future = time.time_ns() // 1000 + 10**12
    assert Hubs(ledger, Limits(), future, SystemClock()).reserve(EVE).seq == future + 1
    assert Hubs(ledger, Limits(), 0, SystemClock()).reserve(EVE).seq > time.time_ns() // 1000 - 10**6


async def test_open_slot_holds_later_frames(hubs: Hubs) -> None:
    """A frame waits for an earlier one that is not committed yet, so that seq never goes back on a socket."""
    socket = hubs.connect(EVE)
    first, second, third = hubs.reserve(EVE), hubs.reserve(EVE), hubs.reserve(EVE)
    third.publish({"content": "third"})
    hubs.signal("Event", "Said", PERSONA, {})
    second.drop()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(socket.get(), 0.05)
    first.publish({"content": "first"})
    frames = await queued(socket)
    assert [frame.get("content", frame.get("title")) for frame in frames] == ["first", "third", "Said"]
    assert [frame["seq"] for frame in frames] == sorted(frame["seq"] for frame in frames)


async def test_one_persona_never_holds_another(hubs: Hubs) -> None:
    """An open slot delays only the same persona's frames."""
    socket = hubs.connect(OTHER.id)
    hubs.reserve(EVE)
    hubs.signal("Event", "Said", OTHER, {})
    assert [frame["title"] for frame in await queued(socket)] == ["Said"]


async def test_a_filled_slot_stays_filled(hubs: Hubs) -> None:
    """Dropping a slot after publishing it, as a finally clause does, sends nothing twice."""
    socket = hubs.connect(EVE)
    slot = hubs.reserve(EVE)
    slot.publish({"content": "once"})
    slot.drop()
    slot.publish({"content": "twice"})
    assert [frame["content"] for frame in await queued(socket)] == ["once"]


async def test_replay_meets_live_frames_without_gap_or_double(hubs: Hubs, ledger: Ledger) -> None:
    """Chat from the ledger, signals from the ring and a frame being committed come once each, in order."""
    seen = await say(hubs, ledger, "seen")
    await say(hubs, ledger, "missed")
    hubs.signal("Event", "missed signal", PERSONA, {})
    hubs.signal("Event", "not of her", OTHER, {})
    hubs.signal("Event", "of nobody", None, {})
    await say(hubs, ledger, "missed too")
    committing = hubs.reserve(EVE)
    await store(ledger, "being committed", committing.seq)
    hubs.signal("Event", "behind it", PERSONA, {})
    socket = hubs.connect(EVE)
    committing.publish({"content": "being committed"})
    await say(hubs, ledger, "live")
    frames = [*await missed(hubs, socket, seen), *await queued(socket)]
    assert [frame.get("content", frame.get("title")) for frame in frames] == [
        "missed",
        "missed signal",
        "missed too",
        "being committed",
        "behind it",
        "live",
    ]
    assert len({frame["seq"] for frame in frames}) == len(frames)


async def test_replay_pages_through_a_long_absence(hubs: Hubs, ledger: Ledger) -> None:
    """More frames than one page of the ledger holds are all replayed."""
    for number in range(600):
        await say(hubs, ledger, str(number))
    socket = hubs.connect(EVE)
    assert [frame["content"] for frame in await missed(hubs, socket, 0)] == [str(number) for number in range(600)]


async def test_replay_after_a_restart_of_the_daemon(ledger: Ledger) -> None:
    """A client of the previous daemon gets what it missed from the next one."""
    before = Hubs(ledger, Limits(), 0, SystemClock())
    seen = await say(before, ledger, "seen")
    await say(before, ledger, "said before the crash")
    after = Hubs(ledger, Limits(), await ledger.last_seq(), SystemClock())
    socket = after.connect(EVE)
    assert [frame["content"] for frame in await missed(after, socket, seen)] == ["said before the crash"]


async def test_system_gets_every_signal_and_no_chat(hubs: Hubs, ledger: Ledger) -> None:
    """``/ws/system`` gets every persona's signals but no chat; a persona's socket gets only hers."""
    system, hers = hubs.connect(None), hubs.connect(EVE)
    hubs.signal("Event", "Daemon started", None, {})
    await say(hubs, ledger, "private")
    hubs.signal("Event", "Said", PERSONA, {"n": 1})
    assert [frame["title"] for frame in await queued(system)] == ["Daemon started", "Said"]
    frames = await queued(hers)
    assert [frame["type"] for frame in frames] == ["chat_message", "Event"]
    assert frames[1]["details"] == {"n": 1, "persona": {"id": EVE, "name": "Eve"}}
    again = hubs.connect(None)
    assert [frame["title"] for frame in await missed(hubs, again, 0)] == ["Daemon started", "Said"]


async def test_signals_never_hold_a_secret(hubs: Hubs) -> None:
    """A Secret, a record that holds one and a key inside a text are masked in what sockets get."""
    system = hubs.connect(None)
    key = "sk-abcdefgh1jklmnop"
    organ = Organ("m", "openai", Secret("hidden-by-type"))
    hubs.signal("Event", "Leak", None, {"secret": Secret("hidden-by-type"), "organ": organ, "text": f"key {key}"})
    (frame,) = await asyncio.wait_for(system.get(), PATIENCE)
    assert "hidden-by-type" not in frame
    assert key not in frame
    assert json.loads(frame)["details"]["secret"] == "***"


async def test_ring_is_bounded(hubs: Hubs) -> None:
    """Many signals take no more memory than the ring allows; the newest are kept."""
    for number in range(3000):
        hubs.signal("Event", str(number), PERSONA, {"text": "x" * 2000})
    frames = await missed(hubs, hubs.connect(EVE), 0)
    assert len(frames) < 600
    assert frames[-1]["title"] == "2999"


async def test_slow_socket_is_closed_and_the_others_are_not(hubs: Hubs) -> None:
    """A socket that does not read its frames is closed with 1013; the other sockets get all frames."""
    slow, quick = hubs.connect(EVE), hubs.connect(EVE)
    received = []
    for number in range(40):
        hubs.reserve(EVE).publish({"content": number})
        received += await queued(quick)
    assert [frame["content"] for frame in received] == list(range(40))
    with pytest.raises(SocketClosed) as closed:
        await slow.get()
    assert closed.value.code == 1013


async def test_slow_socket_is_bounded_in_characters(hubs: Hubs) -> None:
    """A few very long frames close a slow socket as many short ones do."""
    slow = hubs.connect(EVE)
    for _ in range(10):
        hubs.reserve(EVE).publish({"content": "x" * 1_000_000})
    with pytest.raises(SocketClosed):
        await slow.get()


async def test_web_channel_opens_with_the_first_socket(hubs: Hubs) -> None:
    """Her web channel needs her running and a socket, in either order, and closes when she stops."""
    assert not hubs.is_open(EVE)
    early = hubs.connect(EVE)
    assert not hubs.is_open(EVE)
    hubs.started(EVE)
    assert hubs.is_open(EVE)
    hubs.disconnect(early)
    assert hubs.is_open(EVE)
    hubs.stopped(EVE)
    assert not hubs.is_open(EVE)
    hubs.started(EVE)
    assert not hubs.is_open(EVE)
    hubs.connect(EVE)
    assert hubs.is_open(EVE)


async def test_system_socket_opens_no_web_channel(hubs: Hubs) -> None:
    """A socket that watches the daemon does not open her web channel."""
    hubs.started(EVE)
    hubs.connect(None)
    assert not hubs.is_open(EVE)


async def test_sockets_are_limited(hubs: Hubs) -> None:
    """The socket over the limit is refused with the limit's name; one that leaves makes room."""
    sockets = [hubs.connect(EVE) for _ in range(8)]
    with pytest.raises(HubsRefusal, match=r"limits\.sockets"):
        hubs.connect(None)
    hubs.disconnect(sockets[0])
    hubs.connect(None)


async def test_deleted_persona_closes_her_sockets(hubs: Hubs) -> None:
    """Her sockets are closed normally; a slot that was open then does no harm."""
    socket, slot = hubs.connect(EVE), hubs.reserve(EVE)
    hubs.forget(EVE)
    slot.publish({"content": "too late"})
    with pytest.raises(SocketClosed) as closed:
        await socket.get()
    assert closed.value.code == 1000
    hubs.disconnect(socket)
    assert hubs.sockets == 0


async def test_close_ends_all_and_takes_no_more(hubs: Hubs) -> None:
    """When the daemon stops, sockets get 1012 and new ones are refused; close waits until they are gone."""
    socket = hubs.connect(EVE)
    closing = asyncio.create_task(hubs.close())
    with pytest.raises(SocketClosed) as closed:
        await socket.get()
    assert closed.value.code == 1012
    hubs.disconnect(socket)
    await asyncio.wait_for(closing, PATIENCE)
    with pytest.raises(HubsRefusal):
        hubs.connect(EVE)
