"""Keeps the organ host: one process for all embedded models, started on demand and ended when idle."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from daemon.ledger import Ledger, LedgerError
from daemon.logging.log import Log
from daemon.personas.media import FOLDER as MEDIA
from daemon.recall.meaning import Vectors
from daemon.runtime.clock import Clock, Timer, deadline
from daemon.runtime.tasks import Tasks
from daemon.settings.settings import Organs
from daemon.supervision.linked_process import Ended, LinkedProcess, ProcessContext, ProcessFailed, Unkillable
from daemon.supervision.zygote import SpawnFailed
from proto.framing import Codec
from proto.host import Answered, Embed, Equip, FromHost, Generate, Look, Search, Speak, Study, Transcribe
from proto.messages import EmbeddedOrgan, OrganCall, OrganResult
from proto.perception import EXTENSIONS
from proto.wire import WireError

HELLO_TIMEOUT: Final = 20.0
TIMEOUTS: Final[dict[EmbeddedOrgan, float]] = {
    "thinking": 180.0,
    "ear": 900.0,
    "eye": 120.0,
    "researcher": 600.0,
    "mouth": 120.0,
}
"""Seconds that a call may take, including its wait for others. Transcribing half an hour of speech takes minutes."""

EMBED_TIMEOUT: Final = 60.0
"""Seconds for the vectors of some texts, with the start of the host and the loading of the model."""

STOP_TIMEOUT: Final = 3.0
MAX_CALLS: Final = 256
DATASETS: Final = "datasets"
"""The folder in a persona's folder that has one folder per dataset."""

LIBRARY: Final = "library/library.db"
"""The index of a persona's documents, a cache that only the host writes, in a folder that only the host may fill."""

Work: TypeAlias = Generate | Transcribe | Look | Study | Search | Speak | Embed

MOST_TITLES: Final = 2_000
"""Titles that a search gets at most, those of the newest files."""

NO_KINDS: Final[frozenset[str]] = frozenset()
HANG_AFTER: Final = 60.0
BACKOFF_MIN: Final = 0.5
BACKOFF_MAX: Final = 60.0

_codec: Codec[FromHost] = Codec(FromHost)  # type: ignore[arg-type]  # mypy takes no union where a type is asked for


class HostFailed(RuntimeError):
    """The call was not answered; the text says why. ``passing`` means that the same call may succeed next time."""

    def __init__(self, reason: str, *, passing: bool = True) -> None:
        super().__init__(reason)
        self.passing = passing


class OrganHost:
    """Relays organ calls of all personas to the one host process, and answers each call exactly once."""

    def __init__(
        self, settings: Organs, ledger: Ledger, context: ProcessContext, tasks: Tasks, clock: Clock, log: Log
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._context = context
        self._tasks = tasks.child()
        self._clock = clock
        self._log = log.bind(role="organ_host")
        self._lock = asyncio.Lock()
        self._host: LinkedProcess[FromHost] | None = None
        self._within: frozenset[Path] = frozenset()
        """The personas' folders that the host's walls let it enter: those that existed when it was started."""
        self._numbers = itertools.count(1)
        self._calls: dict[int, asyncio.Future[Answered]] = {}
        self._asked = 0
        self._idle: Timer | None = None
        self._deaths = 0
        self._not_before = 0.0
        self._fault = ""

    @property
    def pid(self) -> int | None:
        """The host's pid while it is alive."""
        return self._host.pid if self._host else None

    def call(self, call: OrganCall, folder: Path, answer: Callable[[OrganResult], None]) -> None:
        """Call ``answer`` once with the result; ``folder`` is the folder of the persona who asks."""
        self._asked += 1
        self._tasks.start(self._relay(call, folder, answer))

    def embed(self, texts: list[str], folder: Path) -> asyncio.Task[Vectors]:
        """Return the task that makes the vectors of these texts, for the persona with this folder. It raises nothing.

        Whoever stops waiting for it leaves a host that is warm for the next one.
        """
        self._asked += 1
        return self._tasks.start(self._embed(texts, folder))

    async def _embed(self, texts: list[str], folder: Path) -> Vectors:
        try:
            async with deadline(self._clock, EMBED_TIMEOUT):
                done = await self._answered(lambda number: Embed(number, texts), folder)
        except HostFailed as failure:
            return Vectors(b"", str(failure), failure.passing)
        except TimeoutError:
            return Vectors(b"", f"the embedded model took longer than {EMBED_TIMEOUT:g} s")
        finally:
            self._asked -= 1
        return Vectors(done.vectors or b"")

    async def close(self) -> None:
        """Cancel all calls and end the host."""
        await self._tasks.close()
        await self._stop()

    async def _relay(self, call: OrganCall, folder: Path, answer: Callable[[OrganResult], None]) -> None:
        timeout = TIMEOUTS[call.organ]
        try:
            async with deadline(self._clock, timeout):
                done = await self._ask(call, folder)
        except HostFailed as failure:
            answer(OrganResult(call.call, error=str(failure), passing=failure.passing))
        except TimeoutError:
            answer(OrganResult(call.call, error=f"the embedded model took longer than {timeout:g} s"))
        else:
            answer(OrganResult(call.call, done.text, done.media))
        finally:
            self._asked -= 1

    async def _ask(self, call: OrganCall, folder: Path) -> Answered:
        titles = await self._titles(call, folder)
        return await self._answered(lambda number: _work(number, call, folder, titles), folder)

    async def _answered(self, work: Callable[[int], Work], folder: Path) -> Answered:
        if self._asked > MAX_CALLS:
            raise HostFailed("too many questions wait for the embedded model already")
        number = next(self._numbers)
        reply: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        wanted = work(number)
        try:
            host = await self._up(folder)
            self._calls[number] = reply
            host.send(wanted)
            return await reply
        except WireError as error:
            raise HostFailed(f"the organ host cannot be reached: {error}") from error
        finally:
            self._calls.pop(number, None)
            self._rest()

    async def _titles(self, call: OrganCall, folder: Path) -> dict[str, str]:
        """The titles of her documents, for a search: a rebuilt index does not have them. Raises HostFailed."""
        if call.organ != "researcher" or call.media or call.datasets is not None:
            return {}
        try:
            titles = await self._ledger.titles(folder.name, MOST_TITLES)
        except LedgerError as error:
            raise HostFailed(str(error)) from error
        return {name: title for name, title in titles.items() if EXTENSIONS.get(Path(name).suffix) == "document"}

    async def _up(self, folder: Path) -> LinkedProcess[FromHost]:
        """The host; its process is started if there is none that may enter this persona's folder. Raises HostFailed."""
        async with self._lock:
            if self._idle:
                self._idle.cancel()
            if self._host and not self._host.end.done():
                if folder in self._within:
                    return self._host
                await self._renewed()
            if self._clock.monotonic() < self._not_before:
                raise HostFailed(f"the organ host keeps failing: {self._fault}")
            self._within = await asyncio.to_thread(_neighbours, folder)
            host = LinkedProcess("organ_host", _codec, self._take, self._context, self._tasks, self._log)
            host.end.add_done_callback(self._ended)
            try:
                await host.start("organ-host", NO_KINDS, self._context.enclosures.organ_host(), HELLO_TIMEOUT)
            except SpawnFailed as error:
                raise HostFailed(f"the organ host could not be made: {error}") from error
            except ProcessFailed as error:
                raise HostFailed(f"the organ host did not come up: {error}") from error
            except asyncio.CancelledError:
                host.kill("it is no longer needed")
                raise
            self._host, self._fault = host, ""
            # It may send no heartbeat while it loads a large model.
            host.watch_heart(HANG_AFTER)
            host.send(Equip(self._settings.mind_model, self._settings.threads))
            self._log.info("organ_host.started", pid=host.pid)
            return host

    def _take(self, message: FromHost) -> None:
        match message:
            case Answered():
                reply = self._calls.get(message.call)
                if reply and not reply.done():
                    self._deaths = 0
                    if message.text is None and message.media is None and message.vectors is None:
                        reason = message.error or "the embedded model gave no answer"
                        reply.set_exception(HostFailed(reason, passing=False))
                    else:
                        reply.set_result(message)

    def _ended(self, end: asyncio.Future[Ended]) -> None:
        ended = end.result()
        if self._host and self._host.end is end:
            self._host = None
        if ended.exit.code != 0:
            self._deaths += 1
            self._fault = ended.fault or str(ended.exit)
            ceiling = min(BACKOFF_MAX, BACKOFF_MIN * 2 ** min(self._deaths, 10))
            self._not_before = self._clock.monotonic() + random.uniform(BACKOFF_MIN, ceiling)
            self._log.error("organ_host.died", exit=str(ended.exit), reason=self._fault)
        for reply in self._calls.values():
            if not reply.done():
                reply.set_exception(HostFailed(f"the organ host died: {ended.fault or ended.exit}"))

    def _rest(self) -> None:
        """Schedule the host's end if no call is open."""
        if not self._calls:
            if self._idle:
                self._idle.cancel()
            self._idle = self._tasks.call_later(self._settings.idle_timeout, self._leave)

    def _leave(self) -> None:
        self._tasks.start(self._stop())

    async def _stop(self) -> None:
        async with self._lock:
            if self._host and not self._calls:
                await self._end(self._host)

    async def _renewed(self) -> None:
        """End a host that has never seen this persona's folder, once its calls in hand are answered.

        Walls cannot be widened, and a wall around the parent folder would let it read everybody's keys.
        """
        if in_hand := list(self._calls.values()):
            await asyncio.wait(in_hand)
        if self._host:
            await self._end(self._host)

    async def _end(self, host: LinkedProcess[FromHost]) -> None:
        try:
            await host.stop(STOP_TIMEOUT)
        except Unkillable as error:
            self._log.error("worker.unkillable", reason=str(error))
        else:
            self._log.info("organ_host.ended")


def _neighbours(folder: Path) -> frozenset[Path]:
    """The folders of all personas. Blocks. Raises HostFailed."""
    try:
        return frozenset(folder.parent.iterdir())
    except OSError as error:
        raise HostFailed(f"the folders of the personas cannot be read: {error.strerror}") from error


def _work(number: int, call: OrganCall, folder: Path, titles: Mapping[str, str]) -> Work:
    """The host's message for a call. Only here do names become paths. Raises HostFailed."""
    media, library = folder / MEDIA, str(folder / LIBRARY)
    file = str(media / call.media) if call.media else ""
    match call.organ:
        case "thinking":
            return Generate(number, call.turns, call.max_tokens)
        case "mouth":
            return Speak(number, call.text, str(media))
        case "ear" if file:
            return Transcribe(number, file)
        case "eye" if file:
            return Look(number, file, call.shrink)
        case "researcher" if file:
            return Study(number, file, call.title, library)
        case "researcher":
            folders = [media] if call.datasets is None else [folder / DATASETS / name for name in call.datasets]
            return Search(number, call.text, [str(one) for one in folders], library, dict(titles))
    raise HostFailed(f"the {call.organ} was asked without a file", passing=False)
