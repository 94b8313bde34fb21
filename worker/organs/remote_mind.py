"""What chat models behind an HTTP API share: timeouts, retries, tools, and removing the reasoning from answers."""

from __future__ import annotations

import asyncio
import re
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from proto.messages import ChatTurn, MindLimits
from proto.records import Organ, Slot
from proto.texts import MAX_TEXT
from proto.unicode_text import valid_text
from worker.base.backoff import Backoff
from worker.base.organ_errors import OrganUnreachable, PromptRefused
from worker.organs import refusals
from worker.organs.counting import counted
from worker.organs.dialect import Dialect
from worker.organs.growing import Growing
from worker.organs.mind import Mind
from worker.organs.remote import Remote
from worker.organs.room import Room
from worker.organs.thoughts import begins_within_thoughts, without_thoughts
from worker.prompting.exchange import End, Life, Picture, Piece, Question, Round, Said, ToolCall, Usage
from worker.prompting.prompt import REPLY_TOKENS, Prompt
from worker.prompting.tools import MAX_ROUNDS, Tools

LONGEST_WAIT: Final = 10.0
"""Seconds. If a provider asks for a longer pause, the turn's own retries take over."""

CLOSING: Final = 5.0
"""Seconds that a server may take to close the connection after an answer has ended."""

MOST_REPLY_TOKENS: Final = 16_384
"""What a model may use for an answer whose reasoning has used up ``REPLY_TOKENS``."""

MAX_LESSONS: Final = 6
"""How often one call is asked again in another form."""

_HINT_NOTHING: Final = "Check that the model is one for chats, or choose another one."

CHECK_TOKENS: Final = 16
CHECK_TIMEOUT: Final = 20.0
"""Seconds for the question whether a mind answers anything at all."""

DECLINED: Final = "(The provider of my mind declined to answer this.)"
"""The answer when a provider's content filter stopped it, because a retry would not help."""

NOTES: Final = {
    End.DECLINED: DECLINED,
    End.LENGTH: "(My answer stops here: it reached its greatest length.)",
    End.CUT: "(My answer breaks off here: my mind ended it too early.)",
}
"""What the person is told at the end of an answer that is not whole."""

_THINKERS: Final = re.compile(r"(?i)(?:^|[^a-z])(?:r1|qwq|think(?:ing|er)?|reason(?:ing|er)?)(?![a-z])")
"""Names of models whose chat template may open the reasoning itself, so that their text has only its end. Until such a
model's first answer is whole, nothing of it is shown before that end."""

TOOL_REFUSALS: Final = frozenset((400, 404, 422, 501))
"""Statuses of servers that do not support tools. A second request without tools shows whether these were the cause."""


class RemoteMind(Remote, Mind):
    """A mind behind HTTP. A provider's subclass reads the stream and maps the errors; everything else is here."""

    def __init__(self, organ: Organ, limits: MindLimits, url: str, slot: Slot = "thinking") -> None:
        super().__init__(organ, limits, url, slot)
        self._room = Room(limits.context)
        self._dialect = Dialect(self._limit_field())
        self._reply_tokens = REPLY_TOKENS
        self._refuses_tools = False
        self._is_thinking_first = bool(_THINKERS.search(organ.name))

    @property
    def room(self) -> int:
        return self._room.prompt

    def _limit_field(self) -> str:
        """Return the name of the field for the length of an answer that is tried first."""
        return "max_tokens"

    @abstractmethod
    def _pieces(self, question: Question) -> AsyncGenerator[Piece, None]:
        """Yield the answer in pieces, how it ended unless it broke off, and what was used. An empty text is reasoning.

        Raises OrganUnreachable for every error that the SDK documents.
        """

    async def think(self, turns: list[ChatTurn], max_tokens: int) -> str:
        """Raises OrganUnreachable also when the answer is empty after the model's reasoning has been removed."""
        return await self._words(Question(turns, max_tokens))

    async def look(self, turns: list[ChatTurn], picture: Picture, max_tokens: int) -> str:
        """Answer about a picture, which belongs to the last turn. Raises OrganUnreachable when there is no answer."""
        return await self._words(Question(turns, max_tokens, picture))

    async def check(self) -> None:
        """Request one tiny completion without retries. It passes even if the few tokens are used up by reasoning.

        An answer of nothing does not pass: a model that is not made for chats often ends before its first word.
        """
        question = Question([ChatTurn("user", "Say ok.")], CHECK_TOKENS)
        said = await self._within_total(question, 0)
        if said.end is End.CUT and not said.words:
            raise self._garbled("it ended without a word")
        if said.end is End.WHOLE and not (said.words.strip() or said.calls or said.has_reasoned):
            reason = f"{self._organ.name} at {self._host} answered nothing when it was asked to say ok."
            raise OrganUnreachable(self._clean(reason), _HINT_NOTHING, permanent=True)

    async def answer(self, prompt: Prompt, tools: Tools, say: Callable[[str], None]) -> str:
        """Let the model use tools, unless its server has refused them before."""
        try:
            return await self._answer(prompt.turns(), tools, say)
        except PromptRefused:
            raise
        except OrganUnreachable as error:
            if error.is_broken:
                raise PromptRefused("broken", error.reason, error.hint) from error
            if error.is_doubtful and await self._answers_others():
                raise PromptRefused("faulty", error.reason, status=error.status) from error
            raise

    async def _answers_others(self) -> bool:
        """Whether the mind answers something harmless: then the error before belongs to its prompt."""
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                await self.check()
        except (OrganUnreachable, TimeoutError):
            return False
        return True

    async def _answer(self, turns: list[ChatTurn], tools: Tools, say: Callable[[str], None]) -> str:
        if not tools.offered or self._refuses_tools:
            return await self._words(Question(turns, self._reply_tokens, say=say))
        try:
            return await self._with_tools(turns, tools, say)
        except PromptRefused:
            raise
        except OrganUnreachable as error:
            failed = refusals.malformed_call(error.reason)
            if error.status not in TOOL_REFUSALS and not failed:
                raise
        words = await self._words(Question(turns, self._reply_tokens, say=say))
        self._refuses_tools = not failed
        return words

    async def _with_tools(self, turns: list[ChatTurn], tools: Tools, say: Callable[[str], None]) -> str:
        """Continue until the model answers in text. The text may be empty if the model made something to send."""
        rounds: list[Round] = []
        while True:
            may_call = len(rounds) < MAX_ROUNDS
            question = Question(
                turns, self._reply_tokens, tools=tools.offered, rounds=rounds, may_call=may_call, say=say
            )
            said = await self._within_total(question, self._limits.retries)
            words = _worded(said)
            if said.calls and may_call:
                rounds.append(Round(words, said.calls, await tools.run(said.calls)))
            elif words or tools.made:
                return words
            else:
                raise self._empty(said)

    async def _words(self, question: Question) -> str:
        said = await self._within_total(question, self._limits.retries)
        if words := _worded(said):
            return words
        raise self._empty(said)

    async def _within_total(self, question: Question, retries: int) -> Said:
        try:
            async with asyncio.timeout(self._limits.total):
                return await self._with_retries(question, retries)
        except TimeoutError:
            raise self._slow(f"did not finish an answer within {self._limits.total:g} s.") from None

    async def _with_retries(self, question: Question, retries: int) -> Said:
        """Ask until there is a whole answer. If it breaks off each time, the last one is returned as far as it came."""
        backoff, lessons = Backoff(0.5, LONGEST_WAIT), 0
        while True:
            try:
                said = await self._attempt(question)
                if said.end is not End.CUT or retries <= 0:
                    return said
                wait = backoff.next()
            except OrganUnreachable as error:
                if lessons < MAX_LESSONS and self._has_learned(error, question):
                    lessons += 1
                    continue
                if not error.again or retries <= 0 or (error.retry_after or 0.0) > LONGEST_WAIT:
                    raise
                wait = backoff.next() if error.retry_after is None else error.retry_after
            retries -= 1
            await asyncio.sleep(wait)

    def _has_learned(self, refusal: OrganUnreachable, question: Question) -> bool:
        """Learn from a refusal; return whether the question can be asked in another way now."""
        if isinstance(refusal, PromptRefused):
            too_long = refusal.kind == "too_long"
            return too_long and self._room.learn(refusal, question.size, self._length(question))
        return self._dialect.learn(refusal)

    def _length(self, question: Question) -> int:
        """Return how many tokens the answer may have."""
        allowed = min(question.max_tokens, self._dialect.most or question.max_tokens)
        return self._room.reply(allowed, question.size)

    async def _attempt(self, question: Question) -> Said:
        question = replace(question, turns=self._dialect.turns(question.turns), max_tokens=self._length(question))
        parts, said, room, has_begun = list[str](), Said(), MAX_TEXT, False
        growing = Growing(question.say, is_thinking_first=self._is_thinking_first)
        first = asyncio.timeout(self._limits.first_token)
        try:
            async with first, aclosing(counted(self._organ, self._slot, question, self._pieces(question))) as pieces:
                async for piece in pieces:
                    has_begun = True
                    if first.when() is not None and said.end is End.CUT:
                        # A server that works on the answer may take until the total timeout for its first word.
                        now = asyncio.get_running_loop().time()
                        first.reschedule(now + self._limits.first_token if piece is Life.SIGN else None)
                    match piece:
                        case ToolCall():
                            said.calls.append(piece)
                        case End() if said.end is End.CUT:
                            said.end = piece
                            first.reschedule(asyncio.get_running_loop().time() + CLOSING)
                        case Usage():
                            said.usage = said.usage.and_then(piece) if said.usage else piece
                        case str():
                            said.has_reasoned |= not piece
                            parts.append(piece[:room])
                            growing.add(piece[:room])
                            room -= len(piece)
                    if room <= 0:
                        said.end = End.LENGTH
                        break
        except OrganUnreachable as error:
            if not has_begun or not error.is_unconnected:
                raise
            if said.end is End.CUT:
                raise self._broken() from error
        except TimeoutError:
            if not first.expired():
                raise
            if said.end is End.CUT:
                raise self._no_first_word() from None
        finally:
            growing.end()
        # Half a character may end one piece, and its other half begin the next.
        calls = [call.valid() for call in said.calls]
        words = valid_text("".join(parts))
        if words.strip() and said.end is End.WHOLE:
            self._is_thinking_first = begins_within_thoughts(words)
        return Said(words, calls, said.end, said.has_reasoned, said.usage)

    def _no_first_word(self) -> OrganUnreachable:
        return self._slow(f"gave no first word within {self._limits.first_token:g} s.")

    def _empty(self, said: Said) -> OrganUnreachable:
        if said.end is End.LENGTH:
            # Its reasoning used up the whole answer.
            self._reply_tokens = min(self._reply_tokens * 2, MOST_REPLY_TOKENS)
        reason = f"{self._organ.name} at {self._host} gave an empty answer."
        return PromptRefused("empty", reason, "If that happens often, give her another model.")


def _worded(said: Said) -> str:
    """Return an answer without reasoning, and with a note if it is not whole."""
    words = without_thoughts(said.words)
    note = NOTES.get(said.end, "") if words or said.end is End.DECLINED else ""
    if not note or said.calls:
        return words
    return f"{words[: MAX_TEXT - len(note) - 2]}\n\n{note}".strip()
