"""What every process of the daemon has: a task that fails ends it, and the daemon learns why."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from proto import exits
from proto.birth import Birth
from proto.messages import Fault, Hello, MindLimits, Probe
from proto.records import Organ
from proto.walls import Walls
from proto.wire import WireError
from tests.patience import PATIENCE
from worker.base import role_process
from worker.process import main

BIRTH = Birth(1, "probe", "probe", "ipc://none", b"p", 3600.0, Walls())


class PlayedLink:
    """Keeps what is sent. ``full`` refuses everything, as a link does whose daemon does not read."""

    def __init__(self, *_: object) -> None:
        self.sent: list[msgspec.Struct] = []
        self.full = False

    def send(self, message: msgspec.Struct) -> None:
        """Send a message to the daemon."""
        if self.full and not isinstance(message, Hello):
            raise WireError("the queue is full")
        self.sent.append(message)

    def close(self) -> None:
        """Close."""


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> type[main.ProbeProcess]:
    """A probe whose link is played."""
    monkeypatch.setattr(role_process, "Link", PlayedLink)
    return main.ProbeProcess


def sent(process: main.ProbeProcess) -> list[msgspec.Struct]:
    """What the daemon got."""
    assert isinstance(process.link, PlayedLink)
    return process.link.sent


async def test_a_probe_that_fails_does_not_stay(
    process: type[main.ProbeProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its daemon would wait for the answer until the probe's timeout."""

    async def failing(*_: object) -> str:
        raise ValueError("a mistake of ours")

    monkeypatch.setattr(main, "probe", failing)
    probing = process(BIRTH)
    probing.receive(Probe(Organ("m"), MindLimits(1.0, 1.0, 0), {}))
    assert await asyncio.wait_for(probing.run(), PATIENCE) == exits.FAULT
    assert isinstance(sent(probing)[0], Hello)
    assert sent(probing)[-1] == Fault("ValueError: a mistake of ours")


async def test_a_heartbeat_that_fails_ends_the_process(process: type[main.ProbeProcess]) -> None:
    """A daemon that takes no frames cannot be told, but the exit code says that it was a fault, not a hang."""
    beating = process(msgspec.structs.replace(BIRTH, heartbeat=0.0))
    assert isinstance(beating.link, PlayedLink)
    beating.link.full = True
    assert await asyncio.wait_for(beating.run(), PATIENCE) == exits.FAULT
    assert [type(message) for message in sent(beating)] == [Hello]
