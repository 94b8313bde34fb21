"""Owners of tasks: every task has an owner, and an unexpected exception in a task is a fault of its owner.

This follows trio's nurseries (https://trio.readthedocs.io/en/stable/reference-core.html#tasks-let-you-do-multiple-things-at-once)
with one difference: an owner here outlives its tasks, so that a persona whose task failed can be restarted while the
daemon continues. The code that is responsible for an owner waits for its ``fault``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Final, TypeVar

from daemon.logging.log import Log, trace_of
from daemon.runtime.clock import Clock, Timer, deadline

T = TypeVar("T")

LOGGED: Final = 8
"""Faults that one owner logs until ``clear_fault``; a callback that fails in a loop must not fill the log."""

END_TIMEOUT: Final = 10.0
"""Seconds that cancelled tasks get to end: enough to kill a process that will not stop. A task that ignores its
cancellation must not hold up a stop for ever."""


class Tasks:
    """The tasks, timers and callbacks of one owner. ``report`` logs each fault."""

    def __init__(self, clock: Clock, log: Log, report: Callable[[Exception], None]) -> None:
        self._clock = clock
        self._log = log
        self._report = report
        self._reported = 0
        self._running: set[asyncio.Task[object]] = set()
        self._commands: set[asyncio.Task[object]] = set()
        self._fault: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    def __len__(self) -> int:
        return len(self._running) + len(self._commands)

    def child(self) -> Tasks:
        """A new owner that reports its faults to this one, but is closed separately."""
        return Tasks(self._clock, self._log, self.failed)

    @property
    def fault(self) -> asyncio.Future[Exception]:
        """A future that gets the first unexpected exception since ``clear_fault`` as its result."""
        return self._fault

    def start(self, work: Coroutine[object, object, T]) -> asyncio.Task[T]:
        """Start a task."""
        return self._own(work, self._running)

    def start_command(self, work: Coroutine[object, object, T]) -> asyncio.Task[T]:
        """Start a task that commands the persona's keeper: ``reset`` neither cancels it nor waits for it."""
        return self._own(work, self._commands)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call ``callback`` after ``seconds``; an exception in it is a fault."""
        return self._clock.call_later(seconds, lambda: self.call(callback))

    def call(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` now; an exception in it is a fault and is not raised."""
        try:
            callback()
        except Exception as error:  # noqa: BLE001 (an unexpected exception is what this is for)
            self.failed(error)

    @contextmanager
    def contained(self) -> Iterator[None]:
        """An exception inside is a fault; the code after the block continues."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 (an unexpected exception is what this is for)
            self.failed(error)

    def reported(self, *expected: type[Exception]) -> Reported:
        """What is not ``expected`` is a fault, and is raised again for a caller that has another owner."""
        return Reported(self, expected)

    def failed(self, error: Exception) -> None:
        """Report an unexpected exception as a fault of this owner."""
        self._reported += 1
        if self._reported <= LOGGED:
            self._report(error)
        if not self._fault.done():
            self._fault.set_result(error)

    def clear_fault(self) -> None:
        """The state is repaired: the next fault counts again."""
        self._reported = 0
        if self._fault.done():
            self._fault = asyncio.get_running_loop().create_future()

    def cancel(self) -> None:
        """Cancel all tasks except commands."""
        for task in self._running:
            task.cancel()

    async def reset(self) -> None:
        """Cancel all tasks except commands, and wait at most ``END_TIMEOUT`` until they have ended."""
        await self.end(self._running)

    async def close(self) -> None:
        """Cancel all tasks, and wait at most ``END_TIMEOUT`` until they have ended."""
        await self.end(self._running | self._commands)

    async def first_of(self, *works: Coroutine[object, object, T]) -> T:
        """Run coroutines concurrently and return the result of the first to end; the others are cancelled and awaited.

        They belong to the caller, who gets their exceptions: those are no faults of this owner.
        """
        tasks = [asyncio.create_task(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(task for task in tasks if task in done).result()
        finally:
            await self.end(tasks)

    @asynccontextmanager
    async def beside(self, work: Coroutine[object, object, T]) -> AsyncIterator[asyncio.Task[T]]:
        """Run ``work`` while the block lasts, then cancel it; an exception of it is raised at the end of the block."""
        task = asyncio.create_task(work)
        try:
            yield task
        finally:
            await self.end([task])
        if task.done() and not task.cancelled():
            task.result()

    async def end(self, tasks: Collection[asyncio.Task[T]]) -> None:
        """Cancel tasks, and wait at most ``END_TIMEOUT`` until they have ended; those that have not are logged.

        asyncio allows a task to ignore its cancellation
        (https://docs.python.org/3/library/asyncio-task.html#asyncio.Task.cancel).
        """
        others = [task for task in tasks if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        if not others:
            return
        try:
            async with deadline(self._clock, END_TIMEOUT):
                await asyncio.wait(others)
        except TimeoutError:
            for task in others:
                if not task.done():
                    self._log.error("task.stuck", task=_name(task), seconds=END_TIMEOUT)

    def _own(self, work: Coroutine[object, object, T], kind: set[asyncio.Task[object]]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        kind.add(task)

        def ended(task: asyncio.Task[object]) -> None:
            kind.discard(task)
            if not task.cancelled() and isinstance(error := task.exception(), Exception):
                self.failed(error)

        task.add_done_callback(ended)
        return task


class Reported:
    """A block whose unexpected exceptions are faults of ``owner``. Each message goes through one, so it is cheap."""

    __slots__ = ("_expected", "_owner")

    def __init__(self, owner: Tasks, expected: tuple[type[Exception], ...]) -> None:
        self._owner = owner
        self._expected = expected

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if isinstance(error, Exception) and not isinstance(error, self._expected):
            self._owner.failed(error)


class PersonaTasks:
    """One owner of tasks for each persona; her keeper handles its faults."""

    def __init__(self, clock: Clock, log: Log) -> None:
        self._clock = clock
        self._log = log
        self._owners: dict[str, Tasks] = {}

    def of(self, persona_id: str) -> Tasks:
        """The owner of everything that runs for her."""
        owner = self._owners.get(persona_id)
        if owner is None:
            log = self._log.bind(persona=persona_id)
            owner = Tasks(self._clock, log, lambda error: log.error("persona.fault", trace=trace_of(error)))
            self._owners[persona_id] = owner
        return owner

    def forget(self, persona_id: str) -> None:
        """Cancel a deleted persona's tasks."""
        if owner := self._owners.pop(persona_id, None):
            owner.cancel()

    async def close(self) -> None:
        """Cancel all personas' tasks; what was accepted is in the ledger."""
        await asyncio.gather(*(owner.close() for owner in self._owners.values()))


def daemon_tasks(clock: Clock, log: Log) -> Tasks:
    """The owner of tasks that belong to no persona; a fault of it ends the daemon."""
    return Tasks(clock, log, lambda error: log.error("daemon.crashed", trace=trace_of(error)))


async def carried_through(work: Coroutine[object, object, T]) -> T:
    """Run ``work`` to its end even if the caller is cancelled meanwhile; the cancellation is raised afterwards."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def describe(error: BaseException) -> str:
    """Describe an unexpected exception in one line, as a reason."""

    return f"a fault in personad: {type(error).__name__}: {error}"


def _name(task: asyncio.Task[T]) -> str:
    """Where the code of a task is, which says more than asyncio's own name such as ``Task-7``."""
    work = task.get_coro()
    return getattr(work, "__qualname__", type(work).__name__)
