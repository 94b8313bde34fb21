"""A process of the daemon: its birth decides which role it takes."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from proto.birth import Birth
from proto.costs import Reserved
from proto.feeds import ToFeeder
from proto.gateways import Identify
from proto.host import Equip, FromHost, ToHost
from proto.messages import Probe, Probed, Stop, ToWorker
from worker.base.link import HOST_CODEC, WORKER_CODEC
from worker.base.role_process import RoleProcess
from worker.gateways.identify import identify
from worker.organs.metering import Meter
from worker.organs.probe import probe
from worker.process.child_setup import end_group, forbid_new_code
from worker.process.persona_process import PersonaProcess
from worker.walls.raising import raise_walls

if TYPE_CHECKING:
    from worker.embedded.host import OrganHost


def run(birth: Birth, death_pipe: int) -> int:
    """Run behind walls until asked to stop, and return the exit code. Raises OSError when a wall does not stand."""
    # While there is one thread: Landlock binds the thread that asks for it, and what that starts.
    raise_walls(birth.walls)
    if birth.role != "organ_host":
        # The embedded ear compiles its first layers for the processor that it runs on.
        forbid_new_code()
    return asyncio.run(_run_role(birth, death_pipe))


async def _run_role(birth: Birth, death_pipe: int) -> int:
    process: RoleProcess[ToWorker] | RoleProcess[ToHost] | RoleProcess[ToFeeder]
    match birth.role:
        case "persona":
            process = PersonaProcess(birth)
        case "probe":
            process = ProbeProcess(birth)
        case "organ_host":
            process = OrganHostProcess(birth)
        case "feeder":
            # Only a feeder pays for the parsers.
            from worker.history.feeder import FeederProcess

            process = FeederProcess(birth)
    loop = asyncio.get_running_loop()
    loop.add_reader(death_pipe, end_group)
    loop.add_signal_handler(signal.SIGTERM, process.leave)
    loop.set_exception_handler(process.unhandled)
    return await process.run()


class ProbeProcess(RoleProcess[ToWorker]):
    """A short-lived process for one question: can this organ be reached, or which bot does this token belong to?"""

    def __init__(self, birth: Birth) -> None:
        self._asking: asyncio.Task[None] | None = None
        super().__init__(birth, WORKER_CODEC)
        self._meter = Meter(self.link.send, waits=True)

    def receive(self, message: ToWorker) -> None:
        match message:
            case Probe():
                self._asking = self.start(self._ask(message))
            case Identify():
                self._asking = self.start(self._identify(message))
            case Reserved():
                self._meter.receive(message)
            case _:
                self.leave()

    async def _ask(self, question: Probe) -> None:
        with self._meter.charged("test"):
            reason = await probe(question.organ, question.limits, question.urls, question.slot)
        self.link.send(Probed(reason[:2000]))

    async def _identify(self, question: Identify) -> None:
        self.link.send(await identify(question))

    async def close(self) -> None:
        if self._asking:
            self._asking.cancel()


class OrganHostProcess(RoleProcess[ToHost]):
    """The organ host: the embedded models, each loaded at its first use."""

    def __init__(self, birth: Birth) -> None:
        self._host: OrganHost | None = None
        super().__init__(birth, HOST_CODEC)

    def receive(self, message: ToHost) -> None:
        match message:
            case Equip():
                # Imported here because no other process needs it.
                from worker.embedded.host import OrganHost

                self._host = OrganHost(self._send, message.mind_model, message.threads, self.log)
            case Stop():
                self.leave()
            case _ if self._host:
                self._host.receive(message)
            case _:
                self.leave()

    def _send(self, message: FromHost) -> None:
        self.link.send(message)

    async def close(self) -> None:
        if self._host:
            await self._host.close()
