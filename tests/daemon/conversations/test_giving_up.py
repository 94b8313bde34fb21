"""When a message is given up: never for an error that passes, soon for one that does not, and always visibly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from daemon.conversations.delivery import Delivery
from daemon.conversations.hubs import Hubs
from daemon.ledger import ChannelConversation, ChannelFields, Ledger, SenderLimits
from daemon.logging.log import Log, Sink
from daemon.personas.personas import Personas
from daemon.runtime.kept_clock import KeptClock
from daemon.runtime.tasks import PersonaTasks
from daemon.settings.settings import Limits, Logs
from proto.gateways import Deliver, Delivered, GatewayState, Inbound, Undelivered
from proto.messages import Conversation, Outgoing
from tests.daemon.fakes.clock import JumpingLoop, LoopClock

EVE = "11111111-1111-4111-8111-111111111111"
CHANNEL = "0" * 15 + "a"
ANN = Conversation("slack", "Ann", CHANNEL, "D1")


class Gateway:
    """Her process, whose provider answers each try with what the test says."""

    def __init__(self, answers: Callable[[int], Undelivered | Delivered]) -> None:
        self.gateways = [GatewayState(CHANNEL, "connected")]
        self.tries = 0
        self._answers = answers
        self.report: Callable[[Any], None] = lambda _: None

    def send(self, message: msgspec.Struct) -> None:
        assert isinstance(message, Deliver)
        self.tries += 1
        self.report(self._answers(self.tries))


async def outcome(folder: Path, answers: Callable[[int], Undelivered | Delivered]) -> tuple[int, ChannelConversation]:
    """Let her say something; returns how often it was tried, and the conversation at the end."""
    clock, log = KeptClock(LoopClock(), 0), Log(Sink(Logs(), 2, terminal=False))
    ledger = await Ledger.open(folder / "ledger.db")
    loop = cast("JumpingLoop", asyncio.get_running_loop())
    loop.busy += [partial(lambda thread: thread._unresolved > 0, one) for one in (ledger._writer, ledger._reader)]
    tasks = PersonaTasks(clock, log)
    delivery = Delivery(ledger, Personas(folder / "personas", log), Hubs(ledger, Limits(), 0, clock), tasks, clock, log)
    await ledger.add_open_channel(EVE, CHANNEL, "slack", "B1", "her", ChannelFields(name="team"), clock.time_ns())
    item = Inbound("k", "U1", "Ann", "D1", private=True, kind="text", content="hello", at=clock.time_ns())
    visited = await ledger.visit(EVE, CHANNEL, [item], [], SenderLimits(9, 9), [1, 2], clock.time_ns())
    await ledger.answer(EVE, [visited.waiting[0].perception.id], ANN, [Outgoing("hi")], [3], clock.time_ns())
    gateway = Gateway(answers)
    gateway.report = lambda report: tasks.of(EVE).call(partial(delivery.received, EVE, report))
    delivery.attach(EVE, gateway)
    try:
        assert await delivery.settled(3, 2 * 24 * 3600)
        [conversation] = await ledger.channel_conversations(CHANNEL)
    finally:
        await tasks.close()
        loop.busy.clear()
        await ledger.close()
    return gateway.tries, conversation


def run(folder: Path, answers: Callable[[int], Undelivered | Delivered]) -> tuple[int, ChannelConversation]:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(outcome(folder, answers))


@pytest.mark.parametrize(
    ("refusal", "tries"),
    [
        (Undelivered(3, "too long", permanent=True), 1),
        (Undelivered(3, "blocked", permanent=True, blocked=True), 1),
        (Undelivered(3, "who knows", tries=8), 8),
        (Undelivered(3, "no network", ambiguous=True), 40),
    ],
)
def test_a_message_that_is_given_up_shows(tmp_path: Path, refusal: Undelivered, tries: int) -> None:
    """It is tried as often as its error deserves, and then its conversation says why, whatever the error's class."""
    tried, conversation = run(tmp_path, lambda _: refusal)
    assert (tried, conversation.error) == (tries, refusal.reason)
    assert conversation.error_at


def test_a_message_that_arrives_late_shows_nothing(tmp_path: Path) -> None:
    """An error that passes within the tries leaves nothing behind."""
    tried, conversation = run(
        tmp_path, lambda number: Undelivered(3, "who knows", tries=8) if number < 8 else Delivered(3)
    )
    assert (tried, conversation.error) == (8, None)
