"""Reminders in one process: a real ledger and records, a clock that the test turns, and an inbox that listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar, cast

import msgspec

from daemon.conversations.agenda import Agenda
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox, InboxFull
from daemon.conversations.publisher import Publisher
from daemon.conversations.requests import Requests
from daemon.conversations.worker import Worker
from daemon.ledger import Ledger, Reminder, Waiting
from daemon.logging.log import Log, Sink
from daemon.personas.channel_records import id_of
from daemon.personas.personas import Personas
from daemon.reminders import rules
from daemon.reminders.due import Due
from daemon.reminders.service import NewReminder, Reminders
from daemon.runtime.kept_clock import KeptClock
from daemon.runtime.tasks import PersonaTasks
from daemon.settings.settings import Limits, Logs
from proto.messages import Conversation
from proto.records import Channel, Organ, Persona
from proto.secrets import Secret
from proto.zones import zone_of
from tests.daemon.fakes.clock import JumpingLoop, LoopClock

T = TypeVar("T")

EVE: Final = "11111111-1111-4111-8111-111111111111"
HOUR: Final = 3600
TELEGRAM: Final = Channel("telegram", "@sam", {"token": Secret("1:token")}, "2026-01-01T00:00:00.000+00:00")


class Wall(LoopClock):
    """The machine's clock, which the test sets; time passes by the loop's."""

    def __init__(self) -> None:
        self.shift = 0

    def time_ns(self) -> int:
        return super().time_ns() + self.shift


class Listening:
    """An inbox that keeps what it is given; ``full`` refuses."""

    def __init__(self) -> None:
        self.admitted: list[str] = []
        self.full = False

    def require_room(self, _persona: str, _count: int) -> None:
        if self.full:
            raise InboxFull("full")

    def admit(self, _persona: str, items: list[Waiting]) -> None:
        self.admitted += [item.perception.content for item in items]

    def stepped(self, _persona: str, _conversation: Conversation) -> None:
        """What she said is part of the history."""


class Stage:
    """Eve and her reminders."""

    def __init__(self, ledger: Ledger, personas: Personas, wall: Wall, log: Log) -> None:
        self.ledger = ledger
        self.personas = personas
        self.inbox = Listening()
        self.clock = KeptClock(wall, 0, lambda: True)
        self._wall = wall
        self.log = log
        self._task: asyncio.Task[None] | None = None
        self.agenda = Agenda(ledger)
        self.tasks = PersonaTasks(self.clock, log)
        self.due = self._due()
        self.reminders = self._reminders()

    def begin(self) -> None:
        """The daemon starts."""
        self.due = self._due()
        self.reminders = self._reminders()
        self._task = asyncio.get_running_loop().create_task(self.due.run())

    async def end(self) -> None:
        """The daemon ends."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def set(self, text: str, zone: str = "UTC") -> None:
        """Set the clock."""
        self._wall.shift += rules.moment(text, zone_of(zone)) - self.clock.present_ns()

    def jump(self, seconds: float) -> None:
        """Set the clock forwards or backwards."""
        self._wall.shift += int(seconds * rules.SECOND)

    async def remind(self, body: str, seconds: float = 0, **asked: object) -> Reminder:
        """Add a reminder in so many seconds, or whatever is asked for."""
        at = rules.local(self.clock.present_ns() + int(seconds * rules.SECOND), zone_of("UTC")).isoformat()
        return await self.reminders.add(
            EVE, msgspec.convert({"body": body, **({"at": at} if seconds else {}), **asked}, NewReminder)
        )

    async def said(self) -> list[str]:
        """What she said, with where, unless on the web."""
        lines = await self.ledger.conversation(EVE)
        return [
            line.content if line.conversation.type == "web" else f"{line.conversation.type}: {line.content}"
            for line in lines
            if line.role == "assistant"
        ]

    async def change(self, **fields: object) -> None:
        """Change her record."""
        persona = self.personas.get(EVE)
        assert persona
        await self.personas.save(msgspec.structs.replace(persona, **fields))

    async def pair_telegram(self) -> str:
        """Pair a channel with her owner, and return its id."""
        await self.change(channels=[TELEGRAM])
        channel = id_of(TELEGRAM)
        assert channel
        await self.ledger.add_channel(EVE, channel, "telegram", "1", "eve_bot", self.clock.time_ns())
        await self.ledger.bind(EVE, channel, "7", "Sam", "7")
        return channel

    async def hears_on_telegram(self, channel: str) -> None:
        """The person writes there, last of all."""
        there = Conversation("telegram", "@sam", channel, "7")
        number = await self.ledger.accept(EVE, there, "text", "hi", None, 1, None)
        assert number
        await self.ledger.answer(EVE, [number], there, [], [], 2)

    def start_her(self) -> None:
        """Her process runs."""
        self.due.attach(EVE, cast("Worker", None))

    def _reminders(self) -> Reminders:
        return Reminders(self.ledger, self.personas, self.agenda, self.due.look, self.clock)

    def _due(self) -> Due:
        hubs = Hubs(self.ledger, Limits(), 0, self.clock)
        publisher = Publisher(
            self.ledger, hubs, self.personas, Requests(self.ledger), lambda _: None, self.clock, self.log
        )
        inbox = cast("Inbox", self.inbox)
        return Due(self.ledger, self.personas, inbox, publisher, self.agenda, self.tasks, self.clock, self.log)


@asynccontextmanager
async def _staged(folder: Path) -> AsyncIterator[Stage]:
    log = Log(Sink(Logs(), 2, terminal=False))
    ledger = await Ledger.open(folder / "ledger.db")
    loop = cast("JumpingLoop", asyncio.get_running_loop())
    loop.busy += [partial(lambda thread: thread._unresolved > 0, one) for one in (ledger._writer, ledger._reader)]
    personas = Personas(folder / "personas", log)
    await personas.load()
    await personas.create(Persona(EVE, "Eve", Organ("m"), own_zone="UTC"))
    stage = Stage(ledger, personas, Wall(), log)
    try:
        yield stage
    finally:
        await stage.end()
        loop.busy.clear()
        await ledger.close()


def play(folder: Path, scene: Callable[[Stage], Awaitable[T]]) -> T:
    """Run a scene on a loop whose time jumps."""

    async def played() -> T:
        async with _staged(folder) as stage:
            return await scene(stage)

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(played())
