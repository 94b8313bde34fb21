"""The organ host: the embedded organs, loaded when first asked for and shared by all personas.

Each organ has a thread of its own, so that a long transcription holds up no mind, and the loop keeps beating.
"""

from __future__ import annotations

import asyncio
import os
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from proto.messages import Answered, EmbeddedOrgan, FromHost, Generate, Look, Search, Speak, Study, Transcribe
from proto.texts import MAX_TEXT
from worker.base.log import WorkerLog
from worker.embedded.fault import HostFault
from worker.embedded.weights import NAMES

if TYPE_CHECKING:
    from worker.embedded.ear import Ear
    from worker.embedded.eye import Eye
    from worker.embedded.library import Library
    from worker.embedded.mind import LanguageModel
    from worker.embedded.mouth import Mouth

MOST_CALLS: Final = 64
"""Calls in hand and waiting for one organ; at about a second each, later ones would wait for too long."""

MAX_REASON: Final = 1000
MAX_TRACE: Final = 3500

ENVIRONMENT: Final = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    # OpenMP threads that wait sleep instead of spinning: the cores are everybody's.
    "OMP_WAIT_POLICY": "passive",
    "KMP_BLOCKTIME": "0",
}
"""Read by the libraries when they are imported. Nothing here ever asks the network for anything."""

Call: TypeAlias = Generate | Transcribe | Look | Study | Search | Speak


class Organs:
    """The organs of one host. Each is made by its first call, on its own thread, and loads its model then."""

    def __init__(self, model: str, threads: int) -> None:
        self._model = model
        self._threads = threads

    @cached_property
    def mind(self) -> LanguageModel:
        from worker.embedded.mind import LanguageModel

        return LanguageModel(self._model, self._threads)

    @cached_property
    def ear(self) -> Ear:
        from worker.embedded.ear import Ear

        return Ear(self._threads)

    @cached_property
    def eye(self) -> Eye:
        from worker.embedded.eye import Eye

        return Eye()

    @cached_property
    def library(self) -> Library:
        from worker.embedded.library import Library

        return Library()

    @cached_property
    def mouth(self) -> Mouth:
        from worker.embedded.mouth import Mouth

        return Mouth()


class Desk(NamedTuple):
    """Who answers a kind of message: the organ, its work, and the field of ``Answered`` that takes what comes out."""

    organ: EmbeddedOrgan
    # Any: each row's work takes the row's own message.
    work: Callable[[Organs, Any], str]
    field: Literal["text", "media"] = "text"


DESKS: Final[dict[type[Call], Desk]] = {
    Generate: Desk("thinking", lambda organs, call: organs.mind.generate(call.turns, call.max_tokens)),
    Transcribe: Desk("ear", lambda organs, call: organs.ear.transcribe(call.path)),
    Look: Desk("eye", lambda organs, call: organs.eye.look(call.path)),
    Study: Desk("researcher", lambda organs, call: organs.library.study(call.path, call.title, call.library)),
    Search: Desk(
        "researcher",
        lambda organs, call: organs.library.search(call.question, call.folders, call.library, call.titles),
    ),
    Speak: Desk("mouth", lambda organs, call: organs.mouth.speak(call.text, call.folder), "media"),
}


class OrganHost:
    """Answers each call with exactly one ``Answered``; what one organ is asked, it does in order."""

    def __init__(self, send: Callable[[FromHost], None], model: str, threads: int, log: WorkerLog) -> None:
        """``model`` is the path of the operator's own GGUF, "" for the packaged one; ``threads`` 0 leaves one core."""
        os.environ.update(ENVIRONMENT)
        self._send = send
        self._log = log
        self._organs = Organs(model, threads or max(1, (os.cpu_count() or 1) - 1))
        self._executors = {desk.organ: ThreadPoolExecutor(1, desk.organ) for desk in DESKS.values()}
        self._waiting: Counter[EmbeddedOrgan] = Counter()
        self._calls: set[asyncio.Task[None]] = set()

    def receive(self, call: Call) -> None:
        """Take one call; too many at once are refused with a clear error."""
        desk = DESKS[type(call)]
        if self._waiting[desk.organ] >= MOST_CALLS:
            name = NAMES[desk.organ]
            self._send(Answered(call.call, error=f"The embedded {name} is busy: too many personas ask it at once."))
            return
        self._waiting[desk.organ] += 1
        task = asyncio.get_running_loop().create_task(self._answer(call, desk))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def close(self) -> None:
        """Drop what waits; what is in hand ends with the process."""
        for task in self._calls:
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        for executor in self._executors.values():
            executor.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, call: Call, desk: Desk) -> None:
        work = partial(desk.work, self._organs, call)
        result = asyncio.get_running_loop().run_in_executor(self._executors[desk.organ], work)
        try:
            await asyncio.wait([result])
        finally:
            result.cancel()
            self._waiting[desk.organ] -= 1
        failure = result.exception()
        if failure is None:
            self._send(_answered(call.call, desk.field, result.result()))
            return
        reason = str(failure)
        if not isinstance(failure, HostFault):
            # Whatever a library makes of a file that somebody sent is the end of this call, and of no other.
            reason = f"The embedded {NAMES[desk.organ]} failed: {type(failure).__name__}: {failure}"
            trace = "".join(traceback.format_exception(failure))[-MAX_TRACE:]
            self._log.warning("organ_host.failed", organ=desk.organ, call=call.call, reason=reason, trace=trace)
        self._send(Answered(call.call, error=encodable(reason)[:MAX_REASON]))


def _answered(number: int, field: Literal["text", "media"], result: str) -> Answered:
    if field == "media":
        return Answered(number, media=result)
    return Answered(number, text=encodable(result)[:MAX_TEXT])


def encodable(text: str) -> str:
    """Replace what cannot be sent as UTF-8: half a surrogate pair out of a broken document."""
    return text.encode("utf-8", "replace").decode()
