"""The organ host: the embedded organs, loaded at their first call and shared by all personas.

Each organ has its own thread, so that a long transcription holds up neither the mind nor the heartbeats.
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

from proto.host import Answered, Embed, FromHost, Generate, HostOrgan, Look, Search, Speak, Study, Transcribe
from proto.texts import MAX_TEXT
from proto.unicode_text import valid_text
from worker.base.log import WorkerLog
from worker.embedded.fault import HostFault
from worker.embedded.weights import NAMES

if TYPE_CHECKING:
    from worker.embedded.ear import Ear
    from worker.embedded.eye import Eye
    from worker.embedded.library import Library
    from worker.embedded.meaning import Meaning
    from worker.embedded.mind import LanguageModel
    from worker.embedded.mouth import Mouth

MOST_CALLS: Final = 64
"""Calls that may be running or waiting for one organ. At about a second each, further calls would wait too long."""

MAX_REASON: Final = 1000
MAX_TRACE: Final = 3500

ENVIRONMENT: Final = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    # Waiting OpenMP threads sleep instead of spinning, because other processes need the cores.
    "OMP_WAIT_POLICY": "passive",
    "KMP_BLOCKTIME": "0",
}
"""Settings that the libraries read when they are imported. The organ host never uses the network."""

Call: TypeAlias = Generate | Transcribe | Look | Study | Search | Speak | Embed


class Organs:
    """The organs of one host. Each is created at its first call, on its own thread."""

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

    @cached_property
    def meaning(self) -> Meaning:
        from worker.embedded.meaning import Meaning

        return Meaning()


class CallHandler(NamedTuple):
    """How a kind of message is answered: the organ, its work, and the field of ``Answered`` for the result."""

    organ: HostOrgan
    # Any: the work of each row takes a different type of message.
    work: Callable[[Organs, Any], str | bytes]
    field: Literal["text", "media", "vectors"] = "text"


HANDLERS: Final[dict[type[Call], CallHandler]] = {
    Generate: CallHandler("thinking", lambda organs, call: organs.mind.generate(call.turns, call.max_tokens)),
    Transcribe: CallHandler("ear", lambda organs, call: organs.ear.transcribe(call.path)),
    Look: CallHandler(
        "eye", lambda organs, call: organs.eye.shrunk(call.path) if call.shrink else organs.eye.look(call.path)
    ),
    Study: CallHandler("researcher", lambda organs, call: organs.library.study(call.path, call.title, call.library)),
    Search: CallHandler(
        "researcher",
        lambda organs, call: organs.library.search(call.question, call.folders, call.library, call.titles),
    ),
    Speak: CallHandler("mouth", lambda organs, call: organs.mouth.speak(call.text, call.folder), "media"),
    Embed: CallHandler("meaning", lambda organs, call: organs.meaning.embed(call.texts), "vectors"),
}


class OrganHost:
    """Answers each call with exactly one ``Answered``. Each organ handles its calls in order."""

    def __init__(self, send: Callable[[FromHost], None], model: str, threads: int, log: WorkerLog) -> None:
        """``model`` is the path of the operator's own GGUF file, "" for the packaged one; ``threads`` 0 spares one."""
        os.environ.update(ENVIRONMENT)
        self._send = send
        self._log = log
        self._organs = Organs(model, threads or max(1, (os.cpu_count() or 1) - 1))
        self._executors = {handler.organ: ThreadPoolExecutor(1, handler.organ) for handler in HANDLERS.values()}
        self._waiting: Counter[HostOrgan] = Counter()
        self._calls: set[asyncio.Task[None]] = set()

    def receive(self, call: Call) -> None:
        """Take one call. It is refused with an error if too many are waiting for the same organ."""
        handler = HANDLERS[type(call)]
        if self._waiting[handler.organ] >= MOST_CALLS:
            name = NAMES[handler.organ]
            self._send(Answered(call.call, error=f"The embedded {name} is busy: too many personas ask it at once."))
            return
        self._waiting[handler.organ] += 1
        task = asyncio.get_running_loop().create_task(self._answer(call, handler))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def close(self) -> None:
        """Drop the waiting calls. Running ones end with the process."""
        for task in self._calls:
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        for executor in self._executors.values():
            executor.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, call: Call, handler: CallHandler) -> None:
        work = partial(handler.work, self._organs, call)
        result = asyncio.get_running_loop().run_in_executor(self._executors[handler.organ], work)
        try:
            await asyncio.wait([result])
        finally:
            result.cancel()
            self._waiting[handler.organ] -= 1
        failure = result.exception()
        if failure is None:
            self._send(_answered(call.call, handler.field, result.result()))
            return
        reason = str(failure)
        if not isinstance(failure, HostFault):
            # An error that a library raises for one file ends this call and no other.
            reason = f"The embedded {NAMES[handler.organ]} failed: {type(failure).__name__}: {failure}"
            trace = "".join(traceback.format_exception(failure))[-MAX_TRACE:]
            self._log.warning("organ_host.failed", organ=handler.organ, call=call.call, reason=reason, trace=trace)
        self._send(Answered(call.call, error=valid_text(reason)[:MAX_REASON]))


def _answered(number: int, field: Literal["text", "media", "vectors"], result: str | bytes) -> Answered:
    if isinstance(result, bytes):
        return Answered(number, vectors=result)
    if field == "media":
        return Answered(number, media=result)
    return Answered(number, text=valid_text(result)[:MAX_TEXT])
