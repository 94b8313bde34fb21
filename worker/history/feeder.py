"""The feeder: a short-lived process that reads an export and digests it, one conversation after another.

It holds only the current conversation and the next one. Her memory comes with each ``Wanted`` and the result goes out
with each ``Digested``, so that the process may die at any moment and the feed can be started again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Final

import msgspec

from proto import exits
from proto.birth import Birth
from proto.costs import Reserved
from proto.feeds import Digested, Fed, Feed, FeedFailed, Offered, ToFeeder, Undigested, Wanted
from proto.framing import Codec
from proto.messages import ChatTurn, Line, Memory, Stop
from worker.base.backoff import Backoff
from worker.base.log import WorkerLog
from worker.base.organ_errors import OrganConfigError, OrganUnreachable
from worker.base.role_process import RoleProcess
from worker.history.imported import LINE_CHARS, HistoryError, Imported, kept_lines
from worker.history.reading import Found, History
from worker.organs.choice import mind_for
from worker.organs.metering import Meter, Unaffordable
from worker.organs.mind import Mind
from worker.prompting.memory import ConsolidationError, chunks, consolidation_turns
from worker.prompting.origin import Origin, merged, without_origins
from worker.prompting.size import tokens

REASON_CHARS: Final = 2000

PATIENCE: Final = 2400.0
"""Seconds after which no further part of a conversation is started: the daemon allows an hour per conversation."""

SHORTEST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 30.0

_CODEC: Final[Codec[ToFeeder]] = Codec(ToFeeder)  # type: ignore[arg-type]  # a union is no type to mypy


class FeederProcess(RoleProcess[ToFeeder]):
    """One feed from ``Feed`` to ``Fed`` or ``FeedFailed``. After that the process waits for ``Stop``."""

    def __init__(self, birth: Birth) -> None:
        self._feeding: Feeding | None = None
        self._task: asyncio.Task[None] | None = None
        super().__init__(birth, _CODEC)
        self._meter = Meter(self.link.send, waits=True)

    def receive(self, message: ToFeeder) -> None:
        match message:
            case Feed() if self._feeding is None:
                self._feeding = Feeding(message, self.link.send, self.log)
                self._task = self.start(self._feed(self._feeding))
            case Wanted() if self._feeding:
                self._feeding.receive(message)
            case Reserved():
                self._meter.receive(message)
            case Stop():
                self.leave()
            case _:
                self.end(exits.FAULT, f"a {type(message).__name__} has no place here")

    async def _feed(self, feeding: Feeding) -> None:
        with self._meter.charged("feed"):
            await feeding.run()

    async def close(self) -> None:
        if self._task:
            self._task.cancel()


class Feeding:
    """Reads one export and digests the conversations that the daemon wants."""

    def __init__(self, feed: Feed, send: Callable[[msgspec.Struct], None], log: WorkerLog) -> None:
        """``send`` never blocks."""
        self._feed = feed
        self._send = send
        self._log = log
        self._history = History(Path(feed.path), feed.source)
        self._answers: asyncio.Queue[Wanted] = asyncio.Queue()
        self._undigested = 0

    def receive(self, answer: Wanted) -> None:
        """Take the answer to the last offer."""
        self._answers.put_nowait(answer)

    async def run(self) -> None:
        """Run the feed, and send ``Fed`` or ``FeedFailed`` at its end."""
        feed = self._feed
        try:
            mind = mind_for(feed.thinking, feed.limits, feed.urls, _no_host)
        except OrganConfigError as error:
            self._send(FeedFailed("mind", str(error)[:REASON_CHARS]))
            return
        try:
            self._send(await self._digest_all(mind))
        except HistoryError as error:
            self._send(FeedFailed("format", f"The file cannot be read: {error}."[:REASON_CHARS]))
        except Unaffordable as error:
            self._send(FeedFailed("budget", f"{error.reason} {error.hint}"[:REASON_CHARS]))
        except OrganUnreachable as error:
            self._send(FeedFailed("mind", f"{error.reason} {error.hint}"[:REASON_CHARS]))
        finally:
            await mind.close()

    async def _digest_all(self, mind: Mind) -> Fed:
        number = 0
        async with aclosing(_one_ahead(self._history.talks())) as found:
            async for talk, position, size in found:
                number += 1
                offer = Offered(
                    number, talk.key(), talk.title, talk.at, len(talk.lines), position, size, *self._taken(talk)
                )
                self._send(offer)
                memory = await self._wanted(number)
                if memory is None:
                    continue
                changed = await self._digest(mind, talk, memory)
                if changed is None:
                    self._undigested += 1
                    self._send(Undigested(number))
                else:
                    self._send(Digested(number, offer.key, changed, kept_lines(talk)))
        return Fed(number - self._undigested, self._history.skipped + self._undigested)

    async def _wanted(self, number: int) -> Memory | None:
        answer = await self._answers.get()
        if answer.number != number:
            raise RuntimeError(f"the daemon wants conversation {answer.number} when {number} was offered")
        return answer.memory

    def _taken(self, talk: Imported) -> tuple[int, int]:
        """Return how many calls of a mind a conversation takes and their tokens, for a forecast."""
        if not self._feed.forecast:
            return 0, 0
        parts = list(chunks(talk.lines, LINE_CHARS))
        turns = [turn for part in parts for turn in consolidation_turns(self._feed.name, part, {}, self._feed.orders)]
        return len(parts), sum(tokens(turn.content) for turn in turns)

    async def _digest(self, mind: Mind, talk: Imported, memory: Memory) -> Memory | None:
        """Return the memory files that change, or None when the mind's answers cannot be used."""
        origin = Origin.of(self._feed.source, talk.at)
        when = f", {origin.when()}" if origin.when() else ""
        head = Line("person", f"(A talk with {origin.label}{when}.)", talk.at)
        known = {name: without_origins(body) for name, body in memory.items()}
        folded: Memory = {}
        deadline = asyncio.get_running_loop().time() + PATIENCE
        for part in chunks(talk.lines, LINE_CHARS):
            if asyncio.get_running_loop().time() > deadline:
                self._log.warning("feeder.cut_short", lines=len(talk.lines))
                break
            changed = await self._fold(mind, [head, *part], {**known, **folded})
            if changed is None:
                return None
            folded |= changed
            # The embedded mind consolidates without awaiting anything, so heartbeats get their turn here.
            await asyncio.sleep(0)
        return merged(memory, folded, origin)

    async def _fold(self, mind: Mind, lines: list[Line], memory: Memory) -> Memory | None:
        """Have the mind fold these lines in, with a limited number of retries; None when two answers are unusable."""
        backoff = Backoff(SHORTEST_WAIT, LONGEST_WAIT)
        tries, misread = self._feed.limits.retries, 0
        while True:
            try:
                return await mind.consolidate(self._feed.name, lines, memory, self._feed.orders)
            except ConsolidationError as error:
                misread += 1
                if misread > 1:
                    self._log.warning("feeder.undigested", reason=str(error))
                    return None
            except OrganUnreachable as error:
                # A budget whose room is held by another call has room again soon.
                passing = isinstance(error, Unaffordable) and error.passing
                if (error.permanent and not passing) or tries <= 0:
                    raise
                tries -= 1
                wait = max(backoff.next(), min(error.retry_after or 0.0, LONGEST_WAIT))
                self._log.warning("mind.unreachable", reason=error.reason, hint=error.hint, retry_in=round(wait, 1))
                await asyncio.sleep(wait)


async def _one_ahead(talks: Iterator[Found]) -> AsyncGenerator[Found, None]:
    """Read on a thread, so that the event loop keeps running. The next conversation is read while one is digested."""

    def read() -> asyncio.Task[Found | None]:
        task = asyncio.get_running_loop().create_task(asyncio.to_thread(next, talks, None))
        # If the mind fails first, nothing awaits this task: retrieve its exception so that asyncio does not complain.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    coming = read()
    try:
        while (found := await coming) is not None:
            coming = read()
            yield found
    finally:
        coming.cancel()


async def _no_host(_turns: list[ChatTurn], _max_tokens: int) -> str:
    raise OrganUnreachable("A feeder asks no organ host.", "")
