"""One run of the daemon in this process: its real parts and a real ledger, played processes and a jumping clock."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from daemon.conversations.inbox import Inbox
from daemon.ledger import Ledger, LedgerFull, schema
from daemon.ledger.threads import ConnectionThread
from daemon.logging.log import Log, Sink
from daemon.personas import atomic_files
from daemon.runtime.tasks import daemon_tasks
from daemon.settings.settings import Channels, Level, Logs, Settings
from daemon.startup import assemble as startup
from daemon.startup.faults import callback_failed
from daemon.supervision.commands import Commands
from tests.daemon.fakes.clock import JumpingLoop, LoopClock
from tests.daemon.fakes.processes import Outside, PlayedLink, PlayedSpawner

T = TypeVar("T")

SENDER_PER_MINUTE: Final = 3
CLOSES: Final = 60.0
"""Seconds of the jumping clock in which the daemon leaves; more than all its own deadlines."""


class Disk:
    """Refuses writes on demand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full_for: dict[str, int] = {}
        """How many of the ledger's next operations of this name fail; ``config.json`` is the personas' records."""
        write = atomic_files.write

        def write_file(path: Path, data: bytes) -> None:
            if self.refuses(path.name):
                raise OSError("the disk is full")
            write(path, data)

        monkeypatch.setattr(atomic_files, "write", write_file)
        monkeypatch.setattr(os, "fsync", lambda _: None)

    def refuses(self, name: str) -> bool:
        """Whether this one fails."""
        left = self.full_for.get(name, 0)
        self.full_for[name] = max(0, left - 1)
        return left > 0

    def watch(self, ledger: Ledger) -> None:
        """Let this ledger's operations fail, too. It need not survive a loss of power here, so it is quick."""
        for thread in (ledger._writer, ledger._reader):
            thread.submit = partial(self._submit, thread.submit)  # type: ignore[method-assign, assignment]  # of every signature

    # Any: operations of every signature.
    def _submit(self, submit: Callable[..., Any], operation: Callable[..., Any], *arguments: Any) -> Any:
        if self.refuses(operation.__name__):
            raise LedgerFull(f"the disk is full: {operation.__name__}")
        return submit(operation, *arguments)


class AssembledDaemon:
    """The daemon, from its start to its end, as ``daemon.startup.serve`` leads it."""

    def __init__(self, folder: Path, outside: Outside, disk: Disk, log: Log) -> None:
        limits = Channels(sender_per_minute=SENDER_PER_MINUTE)
        self._settings = Settings(state_dir=folder, runtime_dir=folder, channels=limits)
        self._outside = outside
        self.disk = disk
        self._log = log
        self._stack = AsyncExitStack()
        self.clock = LoopClock()
        self.tasks = daemon_tasks(self.clock, log)
        self._background = self.tasks.child()

    async def start(self) -> None:
        """Bring it up. Raises what keeps it from that."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(partial(callback_failed, self.tasks))
        link = PlayedLink()
        spawner = PlayedSpawner(link, self._outside)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(startup, "Link", lambda *_: link)
            patch.setattr(startup, "Spawner", lambda *_: spawner)
            patch.setattr(Ledger, "open", self._open_ledger)
            patch.setattr(schema, "open_writer", _open_writer)
            try:
                self.parts = await startup.assemble(
                    self._settings, asyncio.Event(), self.tasks, self.clock, self._log, self._stack
                )
            except BaseException:
                await self._stack.aclose()
                raise
        self.supervisor = self.parts.supervisor
        self.personas, self.ledger, self.hubs = self.parts.personas, self.parts.ledger, self.parts.hubs
        self.channels = self.parts.channels
        self.by_people = Commands(self.personas, self.channels._register, self.supervisor)
        self.inbox: Inbox = self.supervisor._inbox
        self.consolidation = self.supervisor._consolidation
        # Any: of the application behind the webhooks' port only this is needed.
        webhooks: Any = self.parts.webhooks
        self.webhooks = webhooks._feed
        self.supervisor.boot()
        self._background.start(self.parts.commands.run())
        self._background.start(self.supervisor.decided(CLOSES))

    async def until_fault(self, work: Awaitable[T]) -> T | None:
        """What it gives, or None when a fault of the daemon's own ends it first."""
        task = asyncio.ensure_future(work)
        ends: list[asyncio.Future[Any]] = [task, self.tasks.fault]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait([task])
        return None

    async def close(self) -> None:
        """Leave in order. Raises what fails in that."""
        with self.tasks.contained():
            await self._background.close()
            await self.hubs.close()
        async with asyncio.timeout(CLOSES):
            await self._stack.aclose()

    async def _open_ledger(self, path: Path, *told: Any) -> Ledger:  # Any: as Ledger.open takes them
        ledger = await _open(path, *told)
        self.disk.watch(ledger)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, JumpingLoop)
        loop.busy += [partial(_works, ledger._writer), partial(_works, ledger._reader)]
        return ledger


_open = Ledger.open
_writer = schema.open_writer


def _open_writer(path: Path) -> sqlite3.Connection:
    connection = _writer(path)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def _works(thread: ConnectionThread) -> bool:
    return thread._unresolved > 0 or (thread._closing and not thread._ended.done())


class FaultSink(Sink):
    """A sink that keeps the traces of all faults."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(Logs(level="debug"), descriptor, terminal=False)
        self.traces: list[str] = []

    def emit(self, level: Level, event: str, fields: Mapping[str, object]) -> None:
        if event in ("persona.fault", "daemon.crashed"):
            self.traces.append(str(fields["trace"]))
        super().emit(level, event, fields)
