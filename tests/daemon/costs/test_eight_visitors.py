"""Her agent and her costs together: what the provider sees of eight visitors when a budget is for three calls."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from daemon.settings.settings import Budgets
from proto.costs import Reserve, Spent
from proto.messages import Deferred, FromWorker, MindLimits, Perceive, Perception, Prepare, Reply
from proto.records import Organ, Persona
from tests.daemon.costs.bookkeeping import EVE, Books, books
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.server import Step
from tests.patience import PATIENCE
from tests.worker.conftest import PACE, WEB
from worker.agent.agent import Agent
from worker.base.log import WorkerLog
from worker.prompting.prompt import REPLY_TOKENS


class Eve:
    """Her agent, whose link to the daemon leads to her costs."""

    def __init__(self, held: Books, organ: Organ) -> None:
        self.ends: asyncio.Queue[Reply | Deferred] = asyncio.Queue()
        self.failures: list[BaseException] = []
        self._held = held
        limits = MindLimits(first_token=PATIENCE, total=PATIENCE, retries=0)
        prepare = Prepare(Persona(EVE, "Eve", organ), limits, {}, is_budgeted=held.costs.is_budgeted(EVE))
        self.agent = Agent(prepare, self._send, WorkerLog(), self.failures.append, PACE)
        held.process.take = self._receive

    def visit(self, turn: int) -> None:
        """A visitor says something."""
        perception = Perception(turn, "text", f"hello {turn}", turn)
        self.agent.receive(Perceive(turn, WEB, [perception], [], {}, visitor=f"Bo {turn}"))

    async def end(self) -> Reply | Deferred:
        """Wait for the end of a turn."""
        async with asyncio.timeout(PATIENCE):
            return await self.ends.get()

    def _send(self, message: FromWorker) -> None:
        match message:
            case Reserve() | Spent():
                self._held.costs.received(EVE, message)
            case Reply() | Deferred():
                self.ends.put_nowait(message)

    def _receive(self, message: msgspec.Struct) -> None:
        self.agent.receive(message)  # type: ignore[arg-type]  # costs send what an agent takes


async def test_a_budget_for_three_calls_stops_eight_visitors_at_once(tmp_path: Path) -> None:
    """Exactly three calls reach the provider; the other turns end unanswered, and the next day they are answered."""
    used = (100, REPLY_TOKENS, 0)
    with OpenAIEmulator() as mind:
        mind.default = Step(used=used)
        budget = Budgets(visitors_day=f"{3 * (REPLY_TOKENS + 900)} tokens")
        async with books(tmp_path, budget) as held:
            eve = Eve(held, Organ("m-1", "openai", None, mind.url))
            for turn in range(1, 9):
                eve.visit(turn)
            ends = [await eve.end() for _ in range(8)]
            await held.booked()

            assert sorted(type(end).__name__ for end in ends) == ["Deferred"] * 5 + ["Reply"] * 3
            assert len(mind.journal) == 3
            assert sorted(await held.rows()) == [("2026-11-02", 3 * sum(used[:2]), "reported")]
            # Nothing is asked of the provider as long as the budget is used up.
            eve.visit(9)
            end = await eve.end()
            assert isinstance(end, Deferred)
            assert "The budget for visitors for the day is" in end.unaffordable
            assert len(mind.journal) == 3
            held.clock.now += 86_400 * 10**9
            eve.visit(10)
            assert isinstance(await eve.end(), Reply)
            assert (len(mind.journal), eve.failures) == (4, [])
            await eve.agent.close()
