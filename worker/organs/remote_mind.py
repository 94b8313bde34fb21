"""What chat models behind an HTTP API share: timeouts, retries, tools, and removing the reasoning from answers."""

from __future__ import annotations

import asyncio
import re
from abc import abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from proto.messages import ChatTurn
from proto.texts import MAX_TEXT
from proto.unicode_text import valid_text
from worker.base.backoff import Backoff
from worker.base.organ_errors import OrganUnreachable
from worker.organs.mind import Mind
from worker.organs.remote import Remote
from worker.prompting.exchange import Picture, Question, Round, Said, ToolCall
from worker.prompting.prompt import REPLY_TOKENS, Prompt
from worker.prompting.tools import MAX_ROUNDS, Tools

LONGEST_WAIT: Final = 10.0
"""Seconds. If a provider asks for a longer pause, the turn's own retries take over."""

CHECK_TOKENS: Final = 16

DECLINED: Final = "(The provider of my mind declined to answer this.)"
"""The answer when a provider's content filter stopped it, because a retry would not help."""

TOOL_REFUSALS: Final = frozenset((400, 404, 422, 501))
"""Statuses of servers that do not support tools. A second request without tools shows whether these were the cause."""

_THOUGHT: Final = re.compile(r"\A\s*<(think|thinking|thought)>.*?(?:</\1>|\Z)\s*", re.DOTALL)
_LOOSE_THOUGHT_END: Final = re.compile(r"\A(?:(?!<think>).)*</think>\s*", re.DOTALL)


class RemoteMind(Remote, Mind):
    """A mind behind HTTP. A provider's subclass reads the stream and maps the errors; everything else is here."""

    _refuses_tools = False

    @abstractmethod
    def _pieces(self, question: Question) -> AsyncGenerator[str | ToolCall, None]:
        """Yield the answer in pieces. An empty piece is a sign of life, such as reasoning that is not shown.

        Raises OrganUnreachable for every error that the SDK documents.
        """

    async def think(self, turns: list[ChatTurn], max_tokens: int) -> str:
        """Raises OrganUnreachable also when the answer is empty after the model's reasoning has been removed."""
        return await self._words(Question(turns, max_tokens))

    async def look(self, turns: list[ChatTurn], picture: Picture, max_tokens: int) -> str:
        """Answer about a picture, which belongs to the last turn. Raises OrganUnreachable when there is no answer."""
        return await self._words(Question(turns, max_tokens, picture))

    async def check(self) -> None:
        """Request one tiny completion without retries. It passes even if the few tokens are used up by reasoning."""
        await self._within_total(Question([ChatTurn("user", "Say ok.")], CHECK_TOKENS), 0)

    async def answer(self, prompt: Prompt, tools: Tools) -> str:
        """Let the model use tools, unless its server has refused them before."""
        turns = prompt.turns()
        if not tools.offered or self._refuses_tools:
            return await self.think(turns, REPLY_TOKENS)
        try:
            return await self._with_tools(turns, tools)
        except OrganUnreachable as error:
            if error.status not in TOOL_REFUSALS:
                raise
        words = await self.think(turns, REPLY_TOKENS)
        self._refuses_tools = True
        return words

    async def _with_tools(self, turns: list[ChatTurn], tools: Tools) -> str:
        """Continue until the model answers in text. The text may be empty if the model made something to send."""
        rounds: list[Round] = []
        while True:
            may_call = len(rounds) < MAX_ROUNDS
            question = Question(turns, REPLY_TOKENS, tools=tools.offered, rounds=rounds, may_call=may_call)
            said = await self._within_total(question, self._limits.retries)
            words = without_thoughts(said.words)
            if said.calls and may_call:
                rounds.append(Round(words, said.calls, await tools.run(said.calls)))
            elif words or tools.made:
                return words
            else:
                raise self._empty()

    async def _words(self, question: Question) -> str:
        said = await self._within_total(question, self._limits.retries)
        if words := without_thoughts(said.words):
            return words
        raise self._empty()

    async def _within_total(self, question: Question, retries: int) -> Said:
        try:
            async with asyncio.timeout(self._limits.total):
                return await self._with_retries(question, retries)
        except TimeoutError:
            raise self._slow(f"did not finish an answer within {self._limits.total:g} s.") from None

    async def _with_retries(self, question: Question, retries: int) -> Said:
        backoff = Backoff(0.5, LONGEST_WAIT)
        while True:
            try:
                return await self._attempt(question)
            except OrganUnreachable as error:
                if not error.again or retries <= 0 or (error.retry_after or 0.0) > LONGEST_WAIT:
                    raise
                retries -= 1
                await asyncio.sleep(backoff.next() if error.retry_after is None else error.retry_after)

    async def _attempt(self, question: Question) -> Said:
        parts: list[str] = []
        calls: list[ToolCall] = []
        room = MAX_TEXT
        first = asyncio.timeout(self._limits.first_token)
        try:
            async with first, aclosing(self._pieces(question)) as pieces:
                async for piece in pieces:
                    if first.when() is not None:
                        first.reschedule(None)
                    if isinstance(piece, ToolCall):
                        calls.append(piece)
                        continue
                    parts.append(piece[:room])
                    room -= len(piece)
                    if room <= 0:
                        break
        except TimeoutError:
            if not first.expired():
                raise
            raise self._slow(f"gave no first word within {self._limits.first_token:g} s.") from None
        # Half a character may end one piece, and its other half begin the next.
        return Said(valid_text("".join(parts)), [call.valid() for call in calls])

    def _empty(self) -> OrganUnreachable:
        return OrganUnreachable(
            f"{self._organ.name} at {self._host} gave an empty answer.",
            f"{'She keeps trying. ' if self._is_mind else ''}If it stays so, give her another model.",
        )


def without_thoughts(text: str) -> str:
    """Remove the reasoning that some models put before their answer in ``<think>`` blocks."""
    return _LOOSE_THOUGHT_END.sub("", _THOUGHT.sub("", text)).strip()
