"""A process of the daemon: what it is born as decides which of three lives it leads."""

from __future__ import annotations

import asyncio
import signal
from typing import Final

from proto import exits
from proto.birth import Birth
from proto.framing import Codec
from proto.messages import (
    Consolidate,
    Equip,
    FromHost,
    Generate,
    Join,
    Open,
    OrganResult,
    Perceive,
    Prepare,
    Prepared,
    Probe,
    Probed,
    Ready,
    Stop,
    ToHost,
    ToWorker,
)
from worker.agent import Agent
from worker.life import Life
from worker.organ_host import OrganHost
from worker.organs.mind import MindConfigError
from worker.organs.probe import probe
from worker.process import end_group

# Made before the fork: it takes a millisecond.
WORKER_CODEC: Final[Codec[ToWorker]] = Codec(ToWorker)  # type: ignore[arg-type]  # a union is no type to mypy
HOST_CODEC: Final[Codec[ToHost]] = Codec(ToHost)  # type: ignore[arg-type]  # a union is no type to mypy


def run(birth: Birth, death_pipe: int) -> int:
    """Live until asked to stop; returns the exit code."""
    return asyncio.run(_live(birth, death_pipe))


async def _live(birth: Birth, death_pipe: int) -> int:
    life: PersonaLife | ProbeLife | HostLife
    match birth.role:
        case "persona":
            life = PersonaLife(birth)
        case "probe":
            life = ProbeLife(birth)
        case "organ_host":
            life = HostLife(birth)
    loop = asyncio.get_running_loop()
    loop.add_reader(death_pipe, end_group)
    loop.add_signal_handler(signal.SIGTERM, life.leave)
    loop.set_exception_handler(life.unhandled)
    return await life.run()


class PersonaLife(Life[ToWorker]):
    """A running persona: her agent, and later her gateways."""

    def __init__(self, birth: Birth) -> None:
        self._agent: Agent | None = None
        super().__init__(birth, WORKER_CODEC)

    def receive(self, message: ToWorker) -> None:
        match message:
            case Prepare():
                self._prepare(message)
            case Open():
                self.link.send(Ready(self.gateways()))
            case Perceive() | Join() | Consolidate() | OrganResult() if self._agent:
                self._agent.receive(message)
            case Stop():
                self.leave()
            case _:
                self.end(exits.FAULT, f"a {type(message).__name__} has no place here")

    def _prepare(self, message: Prepare) -> None:
        try:
            self._agent = Agent(message, self.link.send, self.log, self.failed)
        except MindConfigError as error:
            self.end(exits.CONFIG, str(error))
        else:
            self.link.send(Prepared())

    def failed(self, error: BaseException) -> None:
        """Her agent met what it did not expect."""
        self.unhandled(asyncio.get_running_loop(), {"exception": error})

    async def close(self) -> None:
        if self._agent:
            await self._agent.close()


class ProbeLife(Life[ToWorker]):
    """A short life for one question: can this organ be reached?"""

    def __init__(self, birth: Birth) -> None:
        self._asking: asyncio.Task[None] | None = None
        super().__init__(birth, WORKER_CODEC)

    def receive(self, message: ToWorker) -> None:
        match message:
            case Probe():
                self._asking = asyncio.get_running_loop().create_task(self._ask(message))
            case _:
                self.leave()

    async def _ask(self, question: Probe) -> None:
        reason = await probe(question.organ, question.limits, question.urls)
        self.link.send(Probed(reason[:2000]))

    async def close(self) -> None:
        if self._asking:
            self._asking.cancel()


class HostLife(Life[ToHost]):
    """The organ host: the embedded models, loaded when first asked for."""

    def __init__(self, birth: Birth) -> None:
        self._host: OrganHost | None = None
        super().__init__(birth, HOST_CODEC)

    def receive(self, message: ToHost) -> None:
        match message:
            case Equip():
                self._host = OrganHost(self._send, message.mind_model, message.threads, self.log)
            case Generate() if self._host:
                self._host.receive(message)
            case _:
                self.leave()

    def _send(self, message: FromHost) -> None:
        self.link.send(message)

    async def close(self) -> None:
        if self._host:
            await self._host.close()
