"""The queue of webhook requests: what her process cannot read comes again only with another version."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from daemon.channels.webhook_queue import WebhookQueue
from daemon.ledger import ChannelFields, Ledger
from daemon.logging.log import Log, Sink
from daemon.runtime.clock import SystemClock
from daemon.runtime.tasks import PersonaTasks
from daemon.settings.settings import Logs
from proto.gateways import GatewayState, Unread, WebhookRequest

EVE = "11111111-1111-4111-8111-111111111111"
CHANNEL = "0" * 15 + "a"
JSON = "application/json"


class Process:
    """Her process, which keeps what it is given."""

    def __init__(self) -> None:
        self.gateways: list[GatewayState] = []
        self.given: list[bytes] = []

    def send(self, message: msgspec.Struct) -> None:
        assert isinstance(message, WebhookRequest)
        self.given.append(message.body)


class Rig:
    """A ledger with one channel, and queues of several versions on it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.log = Log(Sink(Logs(), 2, terminal=False))
        self.tasks = PersonaTasks(SystemClock(), self.log)

    def queue(self, version: str) -> WebhookQueue:
        return WebhookQueue(self.ledger, 2, self.tasks, SystemClock(), self.log, version)

    async def read(self) -> None:
        """Let the queue read the ledger, which it asks while the first of these reads is on its way."""
        for _ in range(2):
            await self.ledger.open_webhooks(EVE)

    async def given(self, queue: WebhookQueue) -> list[bytes]:
        """Start a process, and return what it is given; it dies without having handled any of it."""
        process = Process()
        queue.attach(EVE, process)
        await self.read()
        await queue.detach(EVE, crashed=False)
        return process.given


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    ledger = await Ledger.open(tmp_path / "ledger.db")
    await ledger.add_open_channel(EVE, CHANNEL, "slack", "B1", "her", ChannelFields(name="team"), 1)
    made = Rig(ledger)
    yield made
    await made.tasks.close()
    await ledger.close()


async def test_what_cannot_be_read_waits_for_an_upgrade(rig: Rig) -> None:
    """This version gets it once, whatever restarts; the next one gets it again, as a webhook request of its own."""
    queue = rig.queue("1")
    assert await queue.accept(EVE, CHANNEL, "e1", JSON, b"odd")
    assert await rig.given(queue) == [b"odd"]
    [request] = await rig.ledger.open_webhooks(EVE)
    kept = [Unread("no text", request.number), Unread("no id", key="e2", body=b"from a socket")]
    await queue.keep_unread(EVE, CHANNEL, kept)
    assert await rig.given(queue) == []
    assert await rig.given(rig.queue("1")) == []
    assert not await queue.accept(EVE, CHANNEL, "e1", JSON, b"odd")
    newer = rig.queue("2")
    assert await rig.given(newer) == [b"odd", b"from a socket"]
    await newer.close(EVE, [one.number for one in await rig.ledger.open_webhooks(EVE)])
    assert await rig.given(rig.queue("3")) == []


async def test_what_kills_waits_for_an_upgrade(rig: Rig) -> None:
    """A request that her process died with too often holds up nobody, and the next version tries it once more."""
    queue = rig.queue("1")
    await queue.accept(EVE, CHANNEL, "e1", JSON, b"deadly")
    await queue.accept(EVE, CHANNEL, "e2", JSON, b"fine")

    async def dies(queue: WebhookQueue) -> list[bytes]:
        process = Process()
        queue.attach(EVE, process)
        await rig.read()
        if process.given == [b"deadly", b"fine"]:
            await queue.close(EVE, [2])
        await queue.detach(EVE, crashed=True)
        return process.given

    assert [await dies(queue) for _ in range(3)] == [[b"deadly", b"fine"], [b"deadly"], []]
    newer = rig.queue("2")
    assert [await dies(newer) for _ in range(2)] == [[b"deadly"], []]
    channel = await rig.ledger.open_channel(CHANNEL, 9)
    assert channel
    assert "died" in (channel.shown_error or "")
