"""Feeding: an export of another AI's conversations becomes part of her memory, one conversation at a time.

Each digested conversation is committed to the ledger together with the memory files that it changes. Then these files
are written, then the commit is finished (``daemon/personas/memories.py``). So a feed may end at any moment, and the
next one continues where it ended: a conversation that was fed before is recognised by the hash of its text.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final, Literal

import msgspec

from daemon.conversations.consolidation import Consolidation
from daemon.conversations.hubs import Hubs
from daemon.costs.costs import Costs
from daemon.feeding.feeder import Feeder, FeederDied, FeederReport
from daemon.feeding.forecast import Forecast, priced
from daemon.ledger import Ledger, Why
from daemon.logging.log import Log
from daemon.personas.instructions import Instructions
from daemon.personas.memories import Memories
from daemon.personas.personas import MAX_MEMORY_FILE, MAX_MEMORY_FILES, MemoryChanged, Personas, PersonasError
from daemon.runtime.tasks import PersonaTasks, Tasks
from daemon.settings.settings import Settings
from daemon.supervision.linked_process import ProcessContext
from daemon.supervision.provisions import kinds_of, mind_limits, provider_urls
from daemon.supervision.supervisor import Supervisor
from proto.feeds import Digested, Fed, FedLine, Feed, FeedFailed, Offered, Source, Undigested, Wanted
from proto.messages import Memory

FOLDER: Final = "feeds"
"""The folder in a persona's folder that has the exports being read."""
MAX_DEATHS: Final = 3
"""Feeders that may die in a row without finishing a conversation; then the feed is given up."""
RETRY_MIN: Final = 0.1
RETRY_MAX: Final = 2.0
CONVERSATION_TIMEOUT: Final = 3600.0
"""Seconds that one conversation may take, however long it is: her sleep has to wait for it."""
LOOK: Final = 0.25
"""Seconds between two checks whether she still runs."""
SIGNAL_EVERY: Final = 0.3

Cause = Literal["format", "mind", "budget", "died", "stopped", "leaving", "hung_up", "disk"]


class FeedEnded(RuntimeError):
    """A feed ended before the end of its export. Finished conversations are kept; ``cause`` and the text say why."""

    def __init__(self, cause: Cause, reason: str = "") -> None:
        super().__init__(reason)
        self.cause = cause


class BeingFed(RuntimeError):
    """A feed for this persona is in progress already."""


class TooManyFeeds(RuntimeError):
    """The maximum number of feeds is in progress."""


class Progress(msgspec.Struct):
    """The progress of a feed: conversations read, bytes read (``position``) and bytes in total (``size``).

    Conversations are ``applied`` (digested now), ``known`` (fed before) or ``undigested`` (her mind could not).
    """

    source: Source
    conversations: int = 0
    applied: int = 0
    known: int = 0
    undigested: int = 0
    position: int = 0
    size: int = 0


class Feeds:
    """All feeds in progress, at most one for each persona."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        personas: Personas,
        memories: Memories,
        instructions: Instructions,
        hubs: Hubs,
        consolidation: Consolidation,
        supervisor: Supervisor,
        context: ProcessContext,
        costs: Costs,
        tasks: PersonaTasks,
        own: Tasks,
        stopping: asyncio.Event,
        log: Log,
    ) -> None:
        self.at_once = settings.limits.feeds_at_once
        self._prices = costs.prices
        self._personas = personas
        shared = (settings, ledger, personas, memories, instructions, hubs, consolidation, context, costs, tasks, log)
        self._feeding = partial(_Feeding, *shared)
        self._supervisor = supervisor
        self._tasks = tasks
        self._own = own
        self._stopping = stopping
        self._fed: set[str] = set()
        self._running: set[asyncio.Task[object]] = set()

    @contextlib.contextmanager
    def claim(self, persona_id: str) -> Iterator[None]:
        """Reserve a feed for this persona while the context lasts. Raises BeingFed, TooManyFeeds."""
        if persona_id in self._fed:
            raise BeingFed
        if len(self._fed) >= self.at_once:
            raise TooManyFeeds
        self._fed.add(persona_id)
        try:
            yield
        finally:
            self._fed.discard(persona_id)

    async def forecast(self, persona_id: str, source: Source, path: Path, gone: asyncio.Event) -> Forecast:
        """Read the export at ``path`` without her mind, and return what a feed of it would take. Raises as ``feed``."""
        forecast = Forecast()
        await self._read(persona_id, self._feeding(persona_id, source, path, gone, forecast))
        return priced(forecast, self._personas.get(persona_id), self._prices)

    async def feed(self, persona_id: str, source: Source, path: Path, gone: asyncio.Event) -> None:
        """Feed her the export at ``path``. Once ``gone`` is set, end after the conversation in progress.

        Raises FeedEnded, LedgerError.
        """
        feeding = self._feeding(persona_id, source, path, gone, None)
        try:
            await self._read(persona_id, feeding)
        except FeedEnded as ended:
            feeding.tell("Feed ended", reason=str(ended) or ended.cause)
            raise

    async def _read(self, persona_id: str, feeding: _Feeding) -> None:
        caller = asyncio.current_task()
        assert caller is not None
        self._running.add(caller)
        try:
            await self._tasks.of(persona_id).first_of(feeding.run(), self._end(persona_id))
        finally:
            self._running.discard(caller)

    async def close(self) -> None:
        """Cancel the feeds in progress and wait until they have ended."""
        await self._own.end(set(self._running))

    async def _end(self, persona_id: str) -> None:
        """Raise FeedEnded when she no longer runs or the daemon is stopping."""
        while not self._stopping.is_set():
            if not self._supervisor.running(persona_id):
                raise FeedEnded("stopped")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), LOOK)
        raise FeedEnded("leaving")


class _Feeding:
    """One feed, with as many feeders as it takes."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        personas: Personas,
        memories: Memories,
        instructions: Instructions,
        hubs: Hubs,
        consolidation: Consolidation,
        context: ProcessContext,
        costs: Costs,
        tasks: PersonaTasks,
        log: Log,
        persona_id: str,
        source: Source,
        path: Path,
        gone: asyncio.Event,
        forecast: Forecast | None,
    ) -> None:
        """``forecast`` is what to add up in place of feeding her."""
        self._forecast = forecast
        self._settings = settings
        self._ledger = ledger
        self._personas = personas
        self._memories = memories
        self._instructions = instructions
        self._hubs = hubs
        self._consolidation = consolidation
        self._context = context
        self._meter = partial(costs.meter, persona_id)
        self._clock = context.clock
        self._tasks = tasks
        self._persona_id = persona_id
        self._path = path
        self._gone = gone
        self._progress = Progress(source)
        self._applied: set[str] = set()
        """The keys that this feed has digested: a new feeder offers them again."""
        self._reported_at = 0.0
        self._log = log.bind(persona=persona_id, role="feeder")

    async def run(self) -> None:
        """Read the export to its end. Raises FeedEnded, LedgerError."""
        deaths = 0
        try:
            await self._memories.settle(self._persona_id)
        except PersonasError as error:
            raise FeedEnded("disk", str(error)) from error
        while True:
            finished = len(self._applied)
            try:
                skipped = await self._read()
            except FeederDied as death:
                deaths = 1 if len(self._applied) > finished else deaths + 1
                self._log.warning("feed.feeder_died", reason=str(death), deaths=deaths)
                if deaths >= MAX_DEATHS:
                    raise FeedEnded("died", str(death)) from death
                await asyncio.sleep(random.uniform(RETRY_MIN, min(RETRY_MAX, RETRY_MIN * 4**deaths)))
            else:
                if self._forecast:
                    return
                progress = self._progress
                self._log.info(
                    "feed.done", source=progress.source, conversations=progress.conversations, applied=progress.applied
                )
                self.tell("Fed", skipped=skipped)
                return

    def tell(self, title: str, **details: object) -> None:
        """Signal the progress."""
        self._reported_at = self._clock.monotonic()
        persona = self._personas.get(self._persona_id)
        self._hubs.signal("Event", title, persona, {**msgspec.structs.asdict(self._progress), **details})

    async def _read(self) -> int:
        """Have one feeder read the export; returns how many conversations had no text. Raises FeederDied, FeedEnded."""
        persona = self._personas.get(self._persona_id)
        if persona is None:
            raise FeedEnded("stopped")
        feed = Feed(
            path=str(self._path),
            source=self._progress.source,
            name=persona.name,
            thinking=persona.thinking,
            limits=mind_limits(self._settings),
            urls=provider_urls(self._settings),
            forecast=self._forecast is not None,
            orders=self._instructions.orders(self._persona_id),
        )
        if self._forecast:
            self._forecast.begin(self._personas.memory(self._persona_id))
        self._progress.conversations = self._progress.known = self._progress.undigested = 0
        tasks = self._tasks.of(self._persona_id)
        feeder = Feeder(self._context, self._settings.supervisor, self._meter, tasks, self._log)
        try:
            await feeder.begin(feed, kinds_of(persona.thinking))
            while True:
                report = await feeder.next_report()
                match report:
                    case Offered():
                        await self._take(feeder, report)
                    case Fed():
                        return report.skipped
                    case FeedFailed():
                        raise FeedEnded(report.cause, report.reason)
                    case Digested() | Undigested():
                        raise FeederDied("it digested a conversation that was not asked for")
        finally:
            await feeder.close()

    async def _take(self, feeder: Feeder, offered: Offered) -> None:
        """Have a conversation digested, unless it was fed before. Raises FeederDied, FeedEnded."""
        progress = self._progress
        progress.conversations += 1
        progress.position, progress.size = offered.position, offered.size
        if not self._forecast:
            self._tell_sometimes()
        if self._gone.is_set():
            raise FeedEnded("hung_up", "the client hung up")
        is_fed = await self._ledger.is_fed(self._persona_id, offered.key)
        if self._forecast:
            self._forecast.add(offered, is_fed=is_fed)
            feeder.send(Wanted(offered.number))
            return
        if is_fed:
            progress.known += offered.key not in self._applied
            feeder.send(Wanted(offered.number))
            return
        async with self._consolidation.folding(self._persona_id):
            memory = dict(self._personas.memory(self._persona_id))
            feeder.send(Wanted(offered.number, memory))
            try:
                report = await asyncio.wait_for(feeder.next_report(), CONVERSATION_TIMEOUT)
            except TimeoutError:
                raise FeederDied(f"one conversation took longer than {CONVERSATION_TIMEOUT:g} s") from None
            if report == Undigested(offered.number):
                progress.undigested += 1
                return
            after, lines = _digest_of(report, offered, memory)
            await self._keep(memory, after, lines, offered)
        self._applied.add(offered.key)
        progress.applied += 1
        self._tell_sometimes()

    def _tell_sometimes(self) -> None:
        if self._clock.monotonic() - self._reported_at > SIGNAL_EVERY:
            self.tell("Feeding")

    async def _keep(self, before: Memory, after: Memory, lines: list[FedLine], offered: Offered) -> None:
        """Commit and write what a conversation changes, even if the feed is cancelled meanwhile.

        Raises FeederDied, FeedEnded, LedgerError.
        """
        why = Why(
            "feed",
            source=self._progress.source,
            key=offered.key,
            title=offered.title,
            said_from=max(offered.at, 0),
            said_to=max(offered.at, 0),
        )
        try:
            await self._memories.change(self._persona_id, before, after, why, lines)
        except MemoryChanged as error:
            raise FeederDied("a memory file was edited by hand meanwhile") from error
        except PersonasError as error:
            raise FeedEnded("disk", str(error)) from error


def _digest_of(report: FeederReport, offered: Offered, memory: Memory) -> tuple[Memory, list[FedLine]]:
    """The files that an answer to ``Wanted`` changes, and the conversation's lines. Raises FeedEnded, FeederDied."""
    match report:
        case Digested(number, key, after, lines) if (number, key) == (offered.number, offered.key):
            largest = max((len(text.encode()) for text in after.values()), default=0)
            if largest > MAX_MEMORY_FILE or len(memory.keys() | after.keys()) > MAX_MEMORY_FILES:
                raise FeederDied("it digested a conversation into more than her memory holds")
            return after, lines
        case FeedFailed():
            raise FeedEnded(report.cause, report.reason)
        case _:
            raise FeederDied("it sent a message out of turn")
