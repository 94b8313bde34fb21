"""Requests for a chat completion that wait for an answer: what is said of it so far, and how it ends.

Only who waits is kept here. The request itself is in the ledger and outlives both its client and this process.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias

import msgspec

from daemon.ledger import Ledger
from proto.conversation import OPENAI
from proto.costs import Used
from proto.messages import Conversation, Outgoing, Refusal, Reply
from proto.streaming import Delta
from proto.texts import MAX_TEXT

MAX_INSTRUCTIONS: Final = 64
"""Requests whose instructions are kept in memory; those of the others are read again."""

Trouble: TypeAlias = Refusal | Literal["died", "mind_down", "unaffordable", "stopped", "ended"]
"""Why there is no answer now: her mind refused, or her process died each time; her mind cannot be reached; no budget
has room; she was stopped; the turn was only in memory and its process ended."""


class Failed(msgspec.Struct, frozen=True):
    """There is no answer now; ``detail`` says why, to her owner."""

    trouble: Trouble
    detail: str


class Answering:
    """One request's answer as it comes. Several clients may wait for it.

    ``text`` is what is said so far, ``end`` her whole answer or why there is none. ``change`` is done at the next
    change of either, and is another future afterwards.
    """

    def __init__(self) -> None:
        self.text = ""
        self.end: list[Outgoing] | Failed | None = None
        self.waiters = 0
        self.used: Used | None = None
        """What her mind used for it, as far as it told."""
        self.turn = 0
        """The turn that says it; another one if her process died and the next one begins again."""
        self._last = 0
        self._answered: set[int] = set()
        self._said: list[Outgoing] = []
        self.change: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def expect(self, last: int) -> None:
        """The request ends with this perception; a mind with little room may answer those before it first."""
        self._last = last
        if last in self._answered:
            self.ended(self._said)

    def drafted(self, delta: Delta) -> None:
        """She has said more, or begins anew."""
        if self.end is None and not self._said:
            self.turn = delta.turn
            self.text = (self.text[: delta.offset] + delta.text)[:MAX_TEXT]
            self._changed()

    def answered(self, reply: Reply) -> None:
        """She has answered some of its perceptions."""
        self.turn = reply.turn
        if given := reply.used:
            sums = self.used or Used()
            self.used = Used(sums.input + given.input, sums.output + given.output, sums.cached + given.cached)
        self._said += reply.messages
        self._answered.update(reply.perceptions)
        if self._last in reply.perceptions:
            self.ended(self._said)

    def ended(self, end: list[Outgoing] | Failed) -> None:
        """It is answered, or is not; the first end counts."""
        if self.end is None:
            self.end = end
            self._changed()

    def _changed(self) -> None:
        done, self.change = self.change, asyncio.get_running_loop().create_future()
        done.set_result(None)


class Requests:
    """All personas' requests for which somebody waits, and the instructions that came with them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._answering: dict[tuple[str, str], Answering] = {}
        self._instructions: OrderedDict[tuple[str, str], str] = OrderedDict()

    @contextmanager
    def waiting(self, persona_id: str, key: str) -> Iterator[Answering]:
        """Wait for the answer to this request, together with others who do. Begin before it is kept."""
        answering = self._answering.get((persona_id, key))
        if answering is None or answering.end is not None:
            answering = self._answering[persona_id, key] = Answering()
        answering.waiters += 1
        try:
            yield answering
        finally:
            answering.waiters -= 1
            if not answering.waiters and self._answering.get((persona_id, key)) is answering:
                del self._answering[persona_id, key]

    async def read(self, persona_id: str, conversation: Conversation) -> None:
        """Read the instructions of a request that is about to become a turn. Raises LedgerError."""
        if conversation.type == OPENAI:
            key = conversation.chat
            self._instructions[persona_id, key] = await self._ledger.request_instructions(persona_id, key)
            self._instructions.move_to_end((persona_id, key))
            if len(self._instructions) > MAX_INSTRUCTIONS:
                self._instructions.popitem(last=False)

    def instructions(self, persona_id: str, conversation: Conversation) -> str | None:
        """Return the instructions that came with a request, None if they must be read; "" in other conversations."""
        return self._instructions.get((persona_id, conversation.chat)) if conversation.type == OPENAI else ""

    def drafted(self, persona_id: str, conversation: Conversation, delta: Delta) -> None:
        """Show who waits what she says so far."""
        if answering := self._found(persona_id, conversation):
            answering.drafted(delta)

    def answered(self, persona_id: str, conversation: Conversation, reply: Reply) -> None:
        """Give who waits her answer, once it is committed if it is kept at all."""
        if answering := self._found(persona_id, conversation):
            answering.answered(reply)

    def failed(self, persona_id: str, conversation: Conversation, trouble: Trouble, detail: str) -> None:
        """Tell who waits that there is no answer now."""
        if answering := self._found(persona_id, conversation):
            answering.ended(Failed(trouble, detail))

    def forget(self, persona_id: str) -> None:
        """Forget a deleted persona's requests."""
        for (owner, _), answering in self._answering.items():
            if owner == persona_id:
                answering.ended(Failed("stopped", "She was deleted."))
        for key in [key for key in self._instructions if key[0] == persona_id]:
            del self._instructions[key]

    def _found(self, persona_id: str, conversation: Conversation) -> Answering | None:
        return self._answering.get((persona_id, conversation.chat)) if conversation.type == OPENAI else None
