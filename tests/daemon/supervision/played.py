"""A clock that is set by hand, and a fake lifecycle and fake processes of a persona, for the keeper's tests."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from daemon.logging.log import Log, Sink
from daemon.runtime.clock import Timer
from daemon.settings.settings import Logs
from daemon.supervision.lifecycle import GenerationFailed
from proto.gateways import GatewayState
from proto.messages import MindLimits, Prepare
from proto.records import Organ, Persona

TURNS: Final = 50
"""Turns of the loop in which everything that need not wait for the clock has happened."""


async def settled() -> None:
    """Run the loop until only timers of the clock are left to wait for."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


class _Timer:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class ManualClock:
    """A clock that stands still until ``advance``."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._order = itertools.count()
        self._due: list[tuple[float, int, _Timer]] = []

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return int(self.now * 1e9)

    def uptime_ns(self) -> int:
        return int(self.monotonic() * 1e9)

    async def sleep(self, seconds: float) -> None:
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, partial(over.set_result, None))
        try:
            await over
        finally:
            timer.cancel()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        timer = _Timer(callback)
        heapq.heappush(self._due, (self.now + seconds, next(self._order), timer))
        return timer

    async def advance(self, seconds: float) -> None:
        """Advance the time, and run what becomes due on the way, in order."""
        await settled()
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            at, _, timer = heapq.heappop(self._due)
            self.now = max(self.now, at)
            if callback := timer.callback:
                callback()
                await settled()
        self.now = end


@contextmanager
def log_to(path: Path) -> Iterator[Log]:
    """A log that keeps its events in memory."""
    with path.open("ab") as stream:
        log = Log(Sink(Logs(level="debug"), stream.fileno(), terminal=False))
        yield log
        log.flush()


def logged(log: Log, name: str) -> list[dict[str, object]]:
    """The log's events of this name."""
    events = (msgspec.json.decode(line, type=dict[str, object]) for line in log.tail.last(1000))
    return [event for event in events if event["event"] == name]


class PlayedGeneration:
    """A process that does what the test says; ``fails`` maps a step, with or without its number, to what it raises."""

    def __init__(self, number: int, steps: list[str], fails: dict[str, Exception]) -> None:
        self.number = number
        self.gateways: list[GatewayState] = []
        self.end: asyncio.Future[GenerationFailed] = asyncio.get_running_loop().create_future()
        self.forked = False
        self.opened = False
        self._told = steps
        self._fails = fails

    @property
    def pid(self) -> int | None:
        return 4000 + self.number if self.forked and not self.end.done() else None

    @property
    def lives(self) -> bool:
        """Whether the process is alive."""
        return self.pid is not None

    def send(self, message: msgspec.Struct) -> None:
        self._told.append(f"{self.number} gets {type(message).__name__}")

    async def prepare(self, _prepare: Prepare, _kinds: frozenset[str]) -> None:
        self._step("prepare")
        self.forked = True

    async def open(self) -> None:
        self._step("open")
        self.opened = True

    async def stop(self) -> None:
        if self.lives:
            self._step("stop")
            self.die("it was asked to")

    async def kill(self) -> None:
        if self.lives:
            self._step("kill")
            self.die("it was killed")

    def die(self, reason: str = "it died", *, permanent: bool = False) -> None:
        """End the process, as if it were dead and reaped."""
        self.end.set_result(GenerationFailed(reason, permanent))

    def _step(self, name: str) -> None:
        self._told.append(f"{self.number} {name}")
        if error := self._fails.get(name) or self._fails.get(f"{self.number} {name}"):
            raise error


class PlayedLifecycle:
    """What the daemon does for a persona. ``fails`` maps a step to what it raises until it is taken out."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.fails: dict[str, Exception] = {}
        self.generations: list[PlayedGeneration] = []

    @property
    def last(self) -> PlayedGeneration:
        """The process that was started last."""
        return self.generations[-1]

    @property
    def alive(self) -> list[PlayedGeneration]:
        """Every process that is alive."""
        return [one for one in self.generations if one.lives]

    def generation(self, number: int) -> PlayedGeneration:
        made = PlayedGeneration(number, self.steps, self.fails)
        self.generations.append(made)
        return made

    async def prepare(self) -> tuple[Prepare, frozenset[str]]:
        self._step("brief")
        persona = Persona("her", "Eve", Organ("m", "openai"))
        return Prepare(persona, MindLimits(1.0, 1.0, 0), {}, [], ""), frozenset()

    def started(self, generation: object) -> None:
        self._step("started")

    async def exited(self, *, crashed: bool) -> None:
        self._step("exited by itself" if crashed else "exited")

    async def discard_state(self) -> None:
        self._step("dropped")

    async def reload(self) -> None:
        self._step("read back")

    async def gave_up(self, reason: str) -> None:
        self._step(f"sick: {reason}")

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if error := self.fails.get(name.partition(":")[0]):
            raise error
