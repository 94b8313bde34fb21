"""A worker whose gateways report without end makes a bounded number of tasks and writes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

from daemon.channels.intake import MAX_IN_HAND, ChannelIntake
from daemon.channels.states import GatewayStates
from daemon.logging.log import Log, Sink
from daemon.personas.channel_records import id_of
from daemon.runtime.tasks import PersonaTasks
from daemon.settings.sections import Logs
from proto.gateways import GatewayState, Received, Taken
from proto.records import Channel, Organ, Persona
from proto.secrets import Secret
from tests.daemon.fakes.clock import LoopClock

TOKEN = {"token": Secret("1:token")}
PERSONA = Persona("0a1b2c3d-0000-4000-8000-000000000001", "Eve", Organ("m"), channels=[Channel("slack", "bot", TOKEN)])
CHANNEL = id_of(PERSONA.channels[0]) or "" if PERSONA.channels else ""


class Slow:
    """Stands for the ledger, the personas and everything else that is asked; the ledger answers when it is ``free``."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.asked = 0
        self.written: list[str] = []
        self.sent: list[Any] = []
        self.gateways: list[GatewayState] = []

    def get(self, _persona_id: str) -> Persona:
        return PERSONA

    def is_open_channel(self, _channel: str) -> bool:
        return False

    def signal(self, *_: object) -> None: ...

    def send(self, message: object) -> None:
        self.sent.append(message)

    async def take(self, *_: object) -> None: ...

    async def close(self, *_: object) -> None: ...

    async def keep_unread(self, *_: object) -> None: ...

    async def channels(self, _persona_id: str) -> list[Any]:
        self.asked += 1
        await self.free.wait()
        return []

    async def channel_error(self, _persona_id: str, _channel: str, text: str, *_: object) -> None:
        self.asked += 1
        await self.free.wait()
        self.written.append(text)


async def until(tasks: PersonaTasks) -> None:
    """Wait until she has no task left."""
    while len(tasks.of(PERSONA.id)):  # noqa: ASYNC110  an owner of tasks tells nobody
        await asyncio.sleep(0)


async def test_states_in_a_loop_are_written_one_at_a_time(tmp_path: Path) -> None:
    """While one state is being written, only the latest of those that follow is kept."""
    with (tmp_path / "log").open("wb") as stream:
        log = Log(Sink(Logs(), stream.fileno(), terminal=False))
        tasks, slow = PersonaTasks(LoopClock(), log), cast("Any", Slow())
        states = GatewayStates(slow, slow, slow, slow, tasks, LoopClock(), log)
        for number in range(1000):
            states.changed(PERSONA.id, slow, GatewayState(CHANNEL, "degraded", f"error {number}"))
        assert len(tasks.of(PERSONA.id)) == 1
        await asyncio.sleep(0)
        slow.free.set()
        await until(tasks)
        assert slow.written[-1] == "error 999"
        assert len(slow.written) <= 2
        states.changed(PERSONA.id, slow, GatewayState(CHANNEL, "degraded", "cancelled"))
        await tasks.of(PERSONA.id).reset()
        states.changed(PERSONA.id, slow, GatewayState(CHANNEL, "degraded", "afterwards"))
        await until(tasks)
        assert slow.written[-1] == "afterwards"
        log.flush()


async def test_batches_in_a_loop_have_to_be_offered_again(tmp_path: Path) -> None:
    """No more than so many batches of a persona wait for the ledger; what is refused was not taken."""
    with (tmp_path / "log").open("wb") as stream:
        log = Log(Sink(Logs(), stream.fileno(), terminal=False))
        tasks, slow = PersonaTasks(LoopClock(), log), cast("Any", Slow())
        intake = ChannelIntake(slow, slow, slow, slow, slow, slow, tasks, log)
        for number in range(1000):
            intake.received(PERSONA.id, slow, Received(number, CHANNEL, []))
        assert len(tasks.of(PERSONA.id)) == MAX_IN_HAND
        assert slow.sent == [Taken(number, ok=False) for number in range(MAX_IN_HAND, 1000)]
        await asyncio.sleep(0)
        assert slow.asked <= MAX_IN_HAND
        slow.free.set()
        await until(tasks)
        intake.received(PERSONA.id, slow, Received(1000, CHANNEL, []))
        await until(tasks)
        assert slow.sent[-1] == Taken(1000, ok=True)
        log.flush()
