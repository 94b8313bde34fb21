"""The organ host's keeper: one process for all embedded models, made on need, ended when idle."""

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
from daemon.settings.settings import Organs
from daemon.supervision.link import Link, Peer
from daemon.supervision.processes import Process
from daemon.supervision.spawner import Spawner
from daemon.supervision.zygote import BirthFailed
from proto.framing import Codec
from proto.messages import (
    Answered,
    EmbeddedOrgan,
    Equip,
    Fault,
    FromHost,
    Generate,
    Heartbeat,
    Hello,
    Look,
    OrganCall,
    OrganResult,
    Search,
    Speak,
    Stop,
    Study,
    Transcribe,
)
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
"""Seconds that a call may take, its wait for others included: half an hour of speech takes minutes to write down."""

STOP_TIMEOUT: Final = 3.0
MAX_CALLS: Final = 256
DATASETS: Final = "datasets"
"""A persona's folder with a folder for each dataset."""

LIBRARY: Final = "library.db"
"""The index of her documents, a cache that only the host writes."""

Work: TypeAlias = Generate | Transcribe | Look | Study | Search | Speak

MOST_TITLES: Final = 2_000
"""Files whose titles a search takes along, the newest."""

NO_KINDS: Final[frozenset[str]] = frozenset()
HANG_AFTER: Final = 60.0
BACKOFF_MIN: Final = 0.5
BACKOFF_MAX: Final = 60.0

_codec: Codec[FromHost] = Codec(FromHost)  # type: ignore[arg-type]  # mypy takes no union where a type is asked for


class HostFailed(RuntimeError):
    """The call was not answered; the text says why. ``passing`` when the same call may well be answered next time."""

    def __init__(self, reason: str, *, passing: bool = True) -> None:
        super().__init__(reason)
        self.passing = passing


class OrganHost:
    """Relays organ calls of all personas to the one host process, and answers each call exactly once."""

    def __init__(self, settings: Organs, ledger: Ledger, spawner: Spawner, link: Link, log: Log) -> None:
        self._settings = settings
        self._ledger = ledger
        self._spawner = spawner
        self._link = link
        self._log = log.bind(role="organ_host")
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._process: Process | None = None
        self._peer: Peer[FromHost] | None = None
        self._hello: asyncio.Future[None] = self._loop.create_future()
        self._numbers = itertools.count(1)
        self._calls: dict[int, asyncio.Future[Answered]] = {}
        self._relays: set[asyncio.Task[None]] = set()
        self._reaping: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._deaths = 0
        self._not_before = 0.0
        self._fault = ""
        self._last_beat = 0.0

    @property
    def pid(self) -> int | None:
        """The host's pid while it lives."""
        return self._process.pid if self._process else None

    def call(self, call: OrganCall, folder: Path, answer: Callable[[OrganResult], None]) -> None:
        """Have ``answer`` called with the result, once; ``folder`` is that of the persona who asks."""
        task = self._loop.create_task(self._relay(call, folder, answer))
        self._relays.add(task)
        task.add_done_callback(self._relays.discard)

    async def close(self) -> None:
        """End the host and cancel what is asked of it."""
        for task in self._relays:
            task.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)
        await self._stop()

    async def _relay(self, call: OrganCall, folder: Path, answer: Callable[[OrganResult], None]) -> None:
        timeout = TIMEOUTS[call.organ]
        try:
            async with asyncio.timeout(timeout):
                done = await self._ask(call, folder)
        except HostFailed as failure:
            answer(OrganResult(call.call, error=str(failure), passing=failure.passing))
        except TimeoutError:
            answer(OrganResult(call.call, error=f"the embedded model took longer than {timeout:g} s"))
        else:
            answer(OrganResult(call.call, done.text, done.media))

    async def _ask(self, call: OrganCall, folder: Path) -> Answered:
        if len(self._relays) > MAX_CALLS:
            raise HostFailed("too many questions wait for the embedded model already")
        number = next(self._numbers)
        reply: asyncio.Future[Answered] = self._loop.create_future()
        work = _work(number, call, folder, await self._titles(call, folder))
        try:
            peer = await self._up()
            self._calls[number] = reply
            peer.send(work)
            return await reply
        except WireError as error:
            raise HostFailed(f"the organ host cannot be reached: {error}") from error
        finally:
            self._calls.pop(number, None)
            self._rest()

    async def _titles(self, call: OrganCall, folder: Path) -> dict[str, str]:
        """What her documents are called, for a search of them: an index that is made anew knows no titles."""
        if call.organ != "researcher" or call.media or call.datasets is not None:
            return {}
        try:
            titles = await self._ledger.titles(folder.name, MOST_TITLES)
        except LedgerError as error:
            raise HostFailed(str(error)) from error
        return {name: title for name, title in titles.items() if EXTENSIONS.get(Path(name).suffix) == "document"}

    async def _up(self) -> Peer[FromHost]:
        """The host's peer; the process is made when there is none."""
        async with self._lock:
            if self._idle:
                self._idle.cancel()
            if self._process and self._process.alive and self._peer:
                return self._peer
            if self._loop.time() < self._not_before:
                raise HostFailed(f"the organ host keeps failing: {self._fault}")
            self._hello = self._loop.create_future()
            peer = self._link.expect(_codec, self._take)
            try:
                process = await self._spawner.spawn("organ_host", "organ-host", peer.routing_id, NO_KINDS, self._log)
            except BirthFailed as error:
                peer.forget()
                raise HostFailed(f"the organ host could not be made: {error}") from error
            self._process, self._peer = process, peer
            self._reaping = self._loop.create_task(self._reap(process, peer))
            done, _ = await asyncio.wait([self._hello], timeout=HELLO_TIMEOUT)
            # When it died meanwhile, its reaping has forgotten it already.
            if not done or self._process is not process:
                process.kill()
                raise HostFailed("the organ host did not come up")
            self._fault, self._last_beat = "", self._loop.time()
            self._watch_heart(process)
            peer.send(Equip(self._settings.mind_model, self._settings.threads))
            self._log.info("organ_host.started", pid=process.pid)
            return peer

    def _watch_heart(self, process: Process) -> None:
        """A host that is silent for long is of use to nobody; loading a large model may keep it silent for a while."""
        if not process.alive:
            return
        silent = self._loop.time() - self._last_beat
        if silent < HANG_AFTER:
            self._loop.call_later(HANG_AFTER - silent, self._watch_heart, process)
        else:
            self._fault = f"it hung: no heartbeat for {silent:.0f} s"
            process.kill()

    def _take(self, message: FromHost) -> None:
        match message:
            case Hello() if not self._hello.done():
                self._hello.set_result(None)
            case Answered():
                reply = self._calls.get(message.call)
                if reply and not reply.done():
                    self._deaths = 0
                    if message.text is None and message.media is None:
                        reason = message.error or "the embedded model gave no answer"
                        reply.set_exception(HostFailed(reason, passing=False))
                    else:
                        reply.set_result(message)
            case Heartbeat():
                self._last_beat = self._loop.time()
            case Fault(reason):
                self._fault = reason

    async def _reap(self, process: Process, peer: Peer[FromHost]) -> None:
        exit_ = await process.wait()
        peer.forget()
        if self._process is process:
            self._process = self._peer = None
        if exit_.code != 0:
            self._deaths += 1
            self._fault = self._fault or str(exit_)
            ceiling = min(BACKOFF_MAX, BACKOFF_MIN * 2 ** min(self._deaths, 10))
            self._not_before = self._loop.time() + random.uniform(BACKOFF_MIN, ceiling)
            self._log.error("organ_host.died", exit=str(exit_), reason=self._fault)
        if not self._hello.done():
            self._hello.set_result(None)
        for reply in self._calls.values():
            if not reply.done():
                reply.set_exception(HostFailed(f"the organ host died: {exit_}"))
        self._spawner.reaped(process)

    def _rest(self) -> None:
        """Nobody asks any more: leave after a while."""
        if not self._calls:
            if self._idle:
                self._idle.cancel()
            self._idle = self._loop.call_later(self._settings.idle_timeout, self._leave)

    def _leave(self) -> None:
        self._stopping = self._loop.create_task(self._stop())

    async def _stop(self) -> None:
        async with self._lock:
            process, peer = self._process, self._peer
            if process is None or peer is None or self._calls:
                return
            try:
                peer.send(Stop())
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT)
            except (WireError, TimeoutError):
                process.kill()
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT)
            self._log.info("organ_host.ended")


def _work(number: int, call: OrganCall, folder: Path, titles: Mapping[str, str]) -> Work:
    """What the host is to do; names become paths here, and nowhere else. Raises HostFailed."""
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
            return Look(number, file)
        case "researcher" if file:
            return Study(number, file, call.title, library)
        case "researcher":
            folders = [media] if call.datasets is None else [folder / DATASETS / name for name in call.datasets]
            return Search(number, call.text, [str(one) for one in folders], library, dict(titles))
    raise HostFailed(f"the {call.organ} was asked without a file", passing=False)
