"""The mind, with which a persona thinks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from proto.messages import ChatTurn, Line, Memory
from worker.base.organ_errors import PromptRefused
from worker.prompting.memory import (
    CONSOLIDATION_TOKENS,
    WouldLose,
    asked_again,
    chunks,
    consolidation_turns,
    parse_consolidation,
    shown_files,
)
from worker.prompting.prompt import Prompt
from worker.prompting.tools import Tools

HostCall: TypeAlias = Callable[[list[ChatTurn], int], Awaitable[str]]
"""Calls the organ host with turns and the maximum number of tokens. Raises OrganUnreachable."""


class Mind(ABC):
    """One mind. Every call raises OrganUnreachable when there is no answer.

    ``room`` is how many estimated tokens of a prompt it takes, as far as it knows; 0: no limit is known.
    """

    @property
    def room(self) -> int:
        return 0

    async def prepare(self) -> None:
        """Find out what a prompt has to know about the mind. Never raises OrganUnreachable."""
        return

    def tells(self, prompt: Prompt) -> bool:  # noqa: ARG002  a mind that has to be paid for waits until she sleeps
        """Return whether the new messages state facts that this mind folds into her memory without any cost."""
        return False

    @abstractmethod
    async def think(self, turns: list[ChatTurn], max_tokens: int) -> str:
        """Return the answer to ``turns``. It is never empty and does not contain the model's reasoning."""

    @abstractmethod
    async def check(self) -> None:
        """Make the smallest exchange that shows that the mind can be reached."""

    @abstractmethod
    async def answer(self, prompt: Prompt, tools: Tools, say: Callable[[str], None]) -> str:
        """Return her reply to the new messages of a turn. It is "" only if ``tools`` made something to send.

        Meanwhile ``say`` gets all that may be shown of it so far, as often as there is more. It begins anew when the
        mind is asked again.

        Raises PromptRefused when the mind works but does not answer this prompt. ``room`` may be smaller afterwards.
        """

    async def consolidate(self, name: str, lines: list[Line], memory: Memory, orders: Sequence[str] = ()) -> Memory:
        """Fold ``lines`` into ``memory`` and return the files that changed; ``name`` is the persona's.

        ``orders`` are her instructions, whole texts.

        What is too long is folded in smaller parts. A line that the provider refuses is left out.

        Raises ConsolidationError when the mind's answer does not have the requested form.
        """
        changed: Memory = {}
        waiting, refused, folded = list(chunks(lines))[::-1], None, False
        while waiting:
            part, now = waiting.pop(), {**memory, **changed}
            try:
                folded_in = await self._folded(consolidation_turns(name, part, now, orders), part, now)
            except PromptRefused as refusal:
                if len(part) > 1 and refusal.kind in ("too_long", "declined"):
                    half = len(part) // 2
                    waiting += [part[half:], part[:half]]
                elif refusal.kind == "declined":
                    refused = refusal
                else:
                    raise
            else:
                changed |= folded_in
                folded = True
        if refused and not folded:
            # It is not these lines that the provider refuses, but her memory.
            raise refused
        return changed

    async def _folded(self, turns: list[ChatTurn], lines: list[Line], memory: Memory) -> Memory:
        """Return the files that change. A mind whose answer would lose something is told so, and asked once more."""
        shown = shown_files(lines, memory)
        try:
            return parse_consolidation(await self.think(turns, CONSOLIDATION_TOKENS), memory, shown)
        except WouldLose as refused:
            again = asked_again(turns, refused)
        return parse_consolidation(await self.think(again, CONSOLIDATION_TOKENS), memory, shown)

    async def close(self) -> None:
        """Close connections. A mind without any does nothing."""
        return
