"""Probes: short-lived processes that ask a provider, so that the daemon itself needs no provider's library."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from daemon.costs.costs import Costs
from daemon.logging.log import Log
from daemon.runtime.clock import Clock, deadline
from daemon.runtime.tasks import Tasks
from daemon.supervision.linked_process import Ended, LinkedProcess, ProcessContext, ProcessFailed, Unkillable
from daemon.supervision.provisions import kinds_of
from daemon.supervision.zygote import SpawnFailed
from proto.costs import Reserve, Spent
from proto.framing import Codec
from proto.gateways import GatewayType, Identified, Identify
from proto.messages import Fault, FromWorker, MindLimits, Probe, Probed
from proto.records import Organ, Slot
from proto.secrets import Secret
from proto.wire import WireError

PROBE_TIMEOUT: Final = 45.0
STOP_TIMEOUT: Final = 2.0
MAX_PROBES: Final = 4
"""Probes at the same time; further ones wait."""

_codec: Codec[FromWorker] = Codec(FromWorker)  # type: ignore[arg-type]  # mypy takes no union where a type is asked for


class Prober:
    """Starts one process for each question."""

    def __init__(
        self,
        context: ProcessContext,
        limits: MindLimits,
        urls: Mapping[str, str],
        hang_after: float,
        costs: Costs,
        tasks: Tasks,
        clock: Clock,
        log: Log,
    ) -> None:
        self._context = context
        self._limits = limits
        self._urls = dict(urls)
        self._hang_after = hang_after
        self._costs = costs
        self._tasks = tasks
        self._clock = clock
        self._log = log.bind(role="probe")
        self._room = asyncio.Semaphore(MAX_PROBES)

    async def probe(self, organ: Organ, slot: Slot = "thinking", persona_id: str = "") -> str:
        """Try this organ in the role of ``slot``, on account of a persona.

        Returns "", or why it cannot be reached, as a text for people.
        """
        try:
            async with self._room, deadline(self._clock, PROBE_TIMEOUT):
                return (await self._ask(Probe(organ, self._limits, self._urls, slot), persona_id)).reason
        except (SpawnFailed, WireError, Unkillable) as error:
            return f"The model could not be tried: {error}"
        except TimeoutError:
            return f"The model could not be tried within {PROBE_TIMEOUT:g} s."

    async def identify(
        self, kind: GatewayType, token: Secret, phone: str = "", credentials: Mapping[str, Secret] | None = None
    ) -> Identified:
        """Ask the provider whose token this is; ``reason`` is set if the token cannot be used."""
        question = Identify(kind, token, self._urls, phone, dict(credentials or {}))
        try:
            async with self._room, deadline(self._clock, PROBE_TIMEOUT):
                answer = await self._ask(question)
        except (SpawnFailed, WireError, Unkillable) as error:
            return Identified(reason=f"the provider could not be asked: {error}")
        except TimeoutError:
            return Identified(reason=f"the provider did not answer within {PROBE_TIMEOUT:g} s")
        return answer if isinstance(answer, Identified) else Identified(reason=answer.reason)

    async def _ask(self, question: Probe | Identify, persona_id: str = "") -> Probed | Identified | Fault:
        answer: asyncio.Future[Probed | Identified | Fault] = asyncio.get_running_loop().create_future()

        def take(message: FromWorker) -> None:
            match message:
                case Probed() | Identified() | Fault() if not answer.done():
                    answer.set_result(message)
                case Reserve() | Spent():
                    meter.received(message)

        process = LinkedProcess("probe", _codec, take, self._context, self._tasks, self._log)
        meter = self._costs.meter(persona_id, process.send)
        try:
            await process.start("probe", _kinds(question), self._context.enclosures.probe(question), PROBE_TIMEOUT)
            process.watch_heart(self._hang_after)
            process.send(question)
            either: list[asyncio.Future[Probed | Identified | Fault] | asyncio.Future[Ended]] = [answer, process.end]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                return Fault(f"The probe ended before it could tell: {process.end.result()}.")
            await process.stop(STOP_TIMEOUT)
            return answer.result()
        except ProcessFailed as error:
            return Fault(f"The probe ended before it could tell: {error}.")
        finally:
            await process.killed()
            await meter.close()


def _kinds(question: Probe | Identify) -> frozenset[str]:
    return kinds_of(question.organ) if isinstance(question, Probe) else frozenset({question.kind})
