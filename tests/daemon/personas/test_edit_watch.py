"""Edits by hand are seen also when the kernel has no watch left, and the limit to raise is named."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import watchfiles

from daemon.logging.log import Log, Sink
from daemon.personas import edit_watch
from daemon.personas.edit_watch import EditWatch
from daemon.personas.personas import CONFIG, Personas
from daemon.runtime.clock import SystemClock
from daemon.settings.settings import Logs
from proto.records import Organ, Persona, to_json
from tests.daemon.supervision.played import logged
from tests.patience import PATIENCE

# What watchfiles 1.3 raised in a user namespace with `user.max_inotify_watches` 1, and with `max_inotify_instances` 0.
NO_WATCH = OSError('OS file watch limit reached. about ["/p/a"] (Error { kind: MaxFilesWatch, paths: ["/p/a"] })')
NO_INSTANCE = RuntimeError("Error creating recommended watcher: Too many open files (os error 24)")
LIMITS = [(NO_WATCH, "max_user_watches"), (NO_INSTANCE, "max_user_instances")]


class Kernel:
    """watchfiles on a kernel that refuses with ``error``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._loop = asyncio.get_running_loop()
        self.error: Exception | None = None
        self.begun: asyncio.Queue[None] = asyncio.Queue()
        """Each watch that began."""
        self.refused: asyncio.Queue[None] = asyncio.Queue()
        """Each one that did not."""
        self.probes: asyncio.Queue[None] = asyncio.Queue()
        """Each question for one watch more."""
        self._awatch, self._watch = watchfiles.awatch, watchfiles.watch
        monkeypatch.setattr(watchfiles, "awatch", self._all)
        monkeypatch.setattr(watchfiles, "watch", self._one_more)

    # Any: as watchfiles takes them.
    async def _all(self, root: Path, **options: Any) -> AsyncIterator[set[Any]]:
        if self.error:
            self.refused.put_nowait(None)
            raise self.error
        self.begun.put_nowait(None)
        async for changes in self._awatch(root, **options):
            yield changes

    def _one_more(self, root: Path, **options: Any) -> Iterator[set[Any]]:
        self._loop.call_soon_threadsafe(self.probes.put_nowait, None)
        if self.error:
            raise self.error
        return self._watch(root, **options)


class House:
    """A persona on the disk, whose edits are watched."""

    def __init__(self, root: Path, log: Log) -> None:
        self.personas = Personas(root, log)
        self.edits: asyncio.Queue[Persona] = asyncio.Queue()
        self.watch = EditWatch(self.personas, self.edits.put, {}, root, SystemClock(), log)
        self.persona = Persona(str(uuid.uuid4()), "Eve", Organ("m"))

    def edit(self, name: str) -> None:
        """Write another name into her record, as a person does."""
        by_hand = msgspec.structs.replace(self.persona, name=name)
        (self.personas.folder(self.persona.id) / CONFIG).write_bytes(to_json(by_hand))

    async def edited(self) -> str:
        """The name of the next record that was seen to change."""
        return (await asyncio.wait_for(self.edits.get(), PATIENCE)).name

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Make her, and follow edits."""
        await self.personas.load()
        await self.personas.create(self.persona)
        watching = asyncio.create_task(self.watch.run())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with (tmp_path / "log").open("wb") as stream:
        yield Log(Sink(Logs(), stream.fileno(), terminal=False))


@pytest.fixture
def house(tmp_path: Path, log: Log) -> House:
    return House(tmp_path / "personas", log)


@pytest.fixture
async def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    for name in ("QUIET_MS", "DEBOUNCE_MS"):
        monkeypatch.setattr(edit_watch, name, 20)
    monkeypatch.setattr(edit_watch, "POLL", 0.02)
    return Kernel(monkeypatch)


async def next_of(events: asyncio.Queue[None]) -> None:
    """Wait for the next of these."""
    await asyncio.wait_for(events.get(), PATIENCE)


@pytest.mark.parametrize(("error", "limit"), LIMITS)
async def test_without_a_watch_the_files_are_read_again(
    house: House, kernel: Kernel, log: Log, error: Exception, limit: str
) -> None:
    """Edits are found, also several within a second; the limit to raise is named once, without the library's words."""
    kernel.error = error
    async with house.watched():
        for name in ("Found", "And again", "And once more"):
            house.edit(name)
            assert await house.edited() == name
        await next_of(kernel.refused)
        await next_of(kernel.refused)
        assert f"sysctl fs.inotify.{limit}=" in house.watch.fault
        assert "/etc/sysctl.d" in house.watch.fault
        assert "about [" not in house.watch.fault
    assert [event["reason"] for event in logged(log, "personas.watch_failed")] == [house.watch.fault]


async def test_a_limit_that_is_reached_later_is_seen(house: House, kernel: Kernel) -> None:
    """The kernel leaves a new persona's folder out of a watch that there is, and tells nobody."""
    async with house.watched():
        await next_of(kernel.begun)
        assert house.watch.fault == ""
        kernel.error = NO_WATCH
        await next_of(kernel.refused)
        assert "max_user_watches" in house.watch.fault
        house.edit("Found")
        assert await house.edited() == "Found"


async def test_an_instance_that_is_there_needs_no_other(house: House, kernel: Kernel) -> None:
    """Other programs took the last instance: this one's watch goes on."""
    async with house.watched():
        await next_of(kernel.begun)
        kernel.error = NO_INSTANCE
        for _ in range(3):
            await next_of(kernel.probes)
        house.edit("Still seen")
        assert await house.edited() == "Still seen"
        assert house.watch.fault == ""
        assert kernel.refused.empty()


async def test_the_kernel_is_asked_again(house: House, kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once there is a watch again the fault is over, and what was edited before it began is read."""
    monkeypatch.setattr(edit_watch, "POLLS", 1)
    kernel.error = NO_WATCH
    async with house.watched():
        await next_of(kernel.refused)
        kernel.error = None
        await next_of(kernel.begun)
        # Whether the watch sees this one or comes too late for it, it is found.
        house.edit("Between the two")
        assert await house.edited() == "Between the two"
        await next_of(kernel.probes)
        assert house.watch.fault == ""
        house.edit("Seen by the kernel")
        assert await house.edited() == "Seen by the kernel"
