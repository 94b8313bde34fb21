"""The mind: what a persona thinks with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from proto.messages import ChatTurn, Line, Memory
from worker.prompting.memory import CONSOLIDATION_TOKENS, chunks, consolidation_turns, parse_consolidation
from worker.prompting.prompt import Prompt
from worker.prompting.tools import Tools

HostCall: TypeAlias = Callable[[list[ChatTurn], int], Awaitable[str]]
"""Asks the organ host: turns and the most tokens to answer with. Raises OrganUnreachable."""


class Mind(ABC):
    """One mind. Every call raises OrganUnreachable when there is no answer."""

    @abstractmethod
    async def think(self, turns: list[ChatTurn], max_tokens: int) -> str:
        """Return the answer to ``turns``: never empty, without the model's own reasoning."""

    @abstractmethod
    async def check(self) -> None:
        """Make the smallest exchange that proves the mind to be there."""

    @abstractmethod
    async def answer(self, prompt: Prompt, tools: Tools) -> str:
        """Return her reply to the new words of a turn; "" only when ``tools`` made something that says it all."""

    async def consolidate(self, name: str, lines: list[Line], memory: Memory) -> Memory:
        """Fold ``lines`` into ``memory`` and return the files that changed; ``name`` is hers.

        Raise ConsolidationError when the mind's answer is not in the asked form.
        """
        changed: Memory = {}
        for part in chunks(lines):
            now = {**memory, **changed}
            answer = await self.think(consolidation_turns(name, part, now), CONSOLIDATION_TOKENS)
            changed |= parse_consolidation(answer, now)
        return changed

    async def close(self) -> None:
        """Leave connections; a mind that holds none has nothing to do."""
        return
