"""A seat for one persona: her agent driven by real messages, her minds behind emulators of the real protocols."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from proto.messages import (
    Conversation,
    FromWorker,
    Line,
    MindLimits,
    OrganCall,
    OrganResult,
    Perceive,
    Perception,
    Prepare,
)
from proto.records import Organ, Persona
from tests.emulators.anthropic import AnthropicEmulator
from tests.emulators.openai import OpenAIEmulator
from tests.patience import PATIENCE
from worker.agent.agent import Agent
from worker.agent.pace import Pace
from worker.base.log import WorkerLog

T = TypeVar("T")

# The first call of a process imports half an SDK, which a busy machine takes seconds for.
LIMITS = MindLimits(first_token=30.0, total=60.0, retries=0)
PACE = Pace(typing=0.05, shortest=0.01, longest=0.05, permanent=0.05, organ=0.02)
WEB = Conversation("web", "6c17c83c-3158-450d-8e43-0e7efea717c1")


class Seat:
    """Collects what an agent sends, and makes what she is sent."""

    def __init__(
        self,
        organ: Organ,
        limits: MindLimits = LIMITS,
        pace: Pace = PACE,
        birthday: str = "",
        media: Path = Path(),
        **organs: Organ,
    ) -> None:
        persona = Persona(WEB.name, "Adam", organ, birthday=birthday, **organs)  # type: ignore[arg-type]  # by slot
        self.sent: list[FromWorker] = []
        self.failures: list[BaseException] = []
        self._news = asyncio.Event()
        self.agent = Agent(Prepare(persona, limits, {}, media=str(media)), self._send, WorkerLog(), self._fail, pace)
        self._last_id = 0

    def perceive(self, *words: str, history: list[Line] | None = None, memory: dict[str, str] | None = None) -> None:
        """Start turn 1 with these words."""
        self.agent.receive(Perceive(1, WEB, self.perceptions(*words), history or [], memory or {}))

    async def call(self, number: int = 1) -> OrganCall:
        """Wait for the so manieth call to the organ host."""
        return (await self.several(OrganCall, number))[number - 1]

    async def host(self, number: int = 1, **result: str | bool) -> OrganCall:
        """Wait for a call to the organ host, and answer it; returns the call."""
        call = await self.call(number)
        self.agent.receive(OrganResult(call.call, **result))  # type: ignore[arg-type]  # its own fields
        return call

    def perceptions(self, *words: str) -> list[Perception]:
        """Text perceptions with increasing ids."""
        made = []
        for word in words:
            self._last_id += 1
            made.append(Perception(self._last_id, "text", word, self._last_id))
        return made

    async def first(self, kind: type[T]) -> T:
        """Wait for the first message of this kind."""
        return (await self.several(kind, 1))[0]

    async def several(self, kind: type[T], count: int) -> list[T]:
        """Wait for so many messages of this kind."""
        async with asyncio.timeout(PATIENCE):
            while len(found := self.of(kind)) < count:
                self._news.clear()
                await self._news.wait()
        return found

    def of(self, kind: type[T]) -> list[T]:
        """What was sent of this kind so far."""
        everything: list[object] = [*self.sent]
        return [message for message in everything if isinstance(message, kind)]

    async def failure(self) -> BaseException:
        """Wait for the first failure that the agent hands on."""
        async with asyncio.timeout(PATIENCE):
            while not self.failures:
                self._news.clear()
                await self._news.wait()
        return self.failures[0]

    def _fail(self, error: BaseException) -> None:
        self.failures.append(error)
        self._news.set()

    def _send(self, message: FromWorker) -> None:
        self.sent.append(message)
        self._news.set()


SeatMaker = Callable[..., Seat]


@pytest.fixture
async def seat() -> AsyncIterator[SeatMaker]:
    """Make seats; their agents are closed at the end."""
    seats: list[Seat] = []

    def make(organ: Organ, **options: object) -> Seat:
        seats.append(Seat(organ, **options))  # type: ignore[arg-type]  # options are Seat's own
        return seats[-1]

    yield make
    for one in seats:
        await one.agent.close()


@pytest.fixture(scope="session")
def openai_server() -> Iterator[OpenAIEmulator]:
    """One OpenAI-compatible server for all tests."""
    emulator = OpenAIEmulator()
    with emulator:
        yield emulator


@pytest.fixture(scope="session")
def anthropic_server() -> Iterator[AnthropicEmulator]:
    """One server of Anthropic's API for all tests."""
    emulator = AnthropicEmulator()
    with emulator:
        yield emulator


@pytest.fixture
def openai(openai_server: OpenAIEmulator) -> OpenAIEmulator:
    """An OpenAI-compatible server, as new."""
    openai_server.reset()
    return openai_server


@pytest.fixture
def anthropic(anthropic_server: AnthropicEmulator) -> AnthropicEmulator:
    """Anthropic's API, as new."""
    anthropic_server.reset()
    return anthropic_server
