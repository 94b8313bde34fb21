"""Probes: short-lived processes that ask a provider something, so that the daemon needs no provider's library."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from daemon.logging.log import Log
from daemon.supervision.dispatch import kinds_of
from daemon.supervision.link import Link
from daemon.supervision.processes import Exit
from daemon.supervision.spawner import Spawner
from daemon.supervision.zygote import BirthFailed
from proto.framing import Codec
from proto.gateways import GatewayType, Identified, Identify
from proto.messages import Fault, FromWorker, Hello, MindLimits, Probe, Probed, Stop
from proto.records import Organ, Slot
from proto.secrets import Secret
from proto.wire import WireError

PROBE_TIMEOUT: Final = 45.0
STOP_TIMEOUT: Final = 2.0
MAX_PROBES: Final = 4
"""Probes at a time; more wait."""

_codec: Codec[FromWorker] = Codec(FromWorker)  # type: ignore[arg-type]  # mypy takes no union where a type is asked for


class Prober:
    """Makes one process for each question."""

    def __init__(self, spawner: Spawner, link: Link, limits: MindLimits, urls: dict[str, str], log: Log) -> None:
        self._spawner = spawner
        self._link = link
        self._limits = limits
        self._urls = urls
        self._log = log.bind(role="probe")
        self._room = asyncio.Semaphore(MAX_PROBES)

    async def probe(self, organ: Organ, slot: Slot = "thinking") -> str:
        """Whether this organ can be reached as what ``slot`` says: "" or why not, in words to act on."""
        try:
            async with self._room, asyncio.timeout(PROBE_TIMEOUT):
                return (await self._ask(Probe(organ, self._limits, self._urls, slot))).reason
        except (BirthFailed, WireError) as error:
            return f"The model could not be tried: {error}"
        except TimeoutError:
            return f"The model could not be tried within {PROBE_TIMEOUT:g} s."

    async def identify(
        self, kind: GatewayType, token: Secret, phone: str = "", credentials: Mapping[str, Secret] | None = None
    ) -> Identified:
        """Whose token it is, asked of the provider; its ``reason`` is set when it is of no use."""
        question = Identify(kind, token, self._urls, phone, dict(credentials or {}))
        try:
            async with self._room, asyncio.timeout(PROBE_TIMEOUT):
                answer = await self._ask(question)
        except (BirthFailed, WireError) as error:
            return Identified(reason=f"the provider could not be asked: {error}")
        except TimeoutError:
            return Identified(reason=f"the provider did not answer within {PROBE_TIMEOUT:g} s")
        return answer if isinstance(answer, Identified) else Identified(reason=answer.reason)

    async def _ask(self, question: Probe | Identify) -> Probed | Identified | Fault:
        answer: asyncio.Future[Probed | Identified | Fault] = asyncio.get_running_loop().create_future()

        def take(message: FromWorker) -> None:
            match message:
                case Hello():
                    peer.send(question)
                case Probed() | Identified() | Fault() if not answer.done():
                    answer.set_result(message)

        peer = self._link.expect(_codec, take)
        process = None
        try:
            process = await self._spawner.spawn("probe", "probe", peer.routing_id, _kinds(question), self._log)
            ending = asyncio.create_task(process.wait())
            either: list[asyncio.Future[Probed | Identified | Fault] | asyncio.Task[Exit]] = [answer, ending]
            await asyncio.wait(either, return_when="FIRST_COMPLETED")
            if not answer.done():
                return Fault(f"The probe ended before it could tell: {ending.result()}.")
            peer.send(Stop())
            await asyncio.wait([ending], timeout=STOP_TIMEOUT)
            return answer.result()
        finally:
            peer.forget()
            if process:
                process.kill()
                self._spawner.reaped(process)


def _kinds(question: Probe | Identify) -> frozenset[str]:
    return kinds_of(question.organ) if isinstance(question, Probe) else frozenset({question.kind})
