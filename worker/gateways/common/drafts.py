"""Shows the words of an answer in its chat while she is still writing it, where a provider has drafts.

A draft is no message. The provider takes it away by itself, when the message comes or after a while, so a process that
is killed leaves nothing behind. Nothing depends on a draft:

* A draft is sent only when a message could still follow at once (``Budget.spare``). What comes meanwhile is merged into
  the next one.
* A message waits for the draft that is on its way to its chat, but not long: one that came later would stand below it.
* A failed draft changes nothing but drafts. If the provider refuses it, the chat or the bot gets no more of them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from proto.streaming import Delta
from worker.base.backoff import Backoff
from worker.base.log import WorkerLog
from worker.gateways.common.sending import Sender
from worker.gateways.common.trouble import PASSING, PROVIDER_ERRORS, ProviderError, Refusal

MAX_TURNS: Final = 16
"""Turns whose words are kept, more than can be in hand at the same time."""

MAX_CHARS: Final = 65_536
"""Characters of one answer that are shown; the rest comes with the message."""

MAX_RESTING: Final = 512
"""Chats to remember that get no drafts for now. The one that was noted first is forgotten first."""

TRIES: Final = 3
"""Drafts in a row that may fail before the rest of the answer goes without."""

DRAFT_TIMEOUT: Final = 5.0
"""Seconds for one draft."""

LATEST: Final = 1.0
"""Seconds that a message waits for the draft on its way to its chat, which is then given up."""

FRESH: Final = 5.0
"""Seconds after a draft in which typing would say nothing more, and cost the next draft."""

TICK: Final = 0.02
"""Seconds. The shortest wait for the budget, whose sums are not exact."""

UNKNOWN: Final = frozenset({401, 404})
"""Statuses of a method that the provider does not have, or does not let this bot use."""


class _Answer:
    """The words of one turn so far."""

    def __init__(self, turn: int, chat: str, waits: Backoff) -> None:
        self.turn = turn
        self.chat = chat
        self.text = ""
        self.news = asyncio.Event()
        self.still = asyncio.Event()
        """Set while no draft is on its way."""
        self.still.set()
        self.over = False
        self.shown_at = -math.inf
        self.failures = 0
        self.waits = waits
        self.task: asyncio.Task[None] | None = None


class Drafts:
    """The drafts of one channel."""

    def __init__(
        self,
        sender: Sender[Any],  # Any: whatever account it sends for.
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None] | None],
        backoff: Callable[[], Backoff],
        gather: float,
        log: WorkerLog,
    ) -> None:
        """``spawn`` runs a coroutine as long as the gateway runs. ``gather`` is how long the first words are collected.

        An answer that is finished within ``gather`` seconds gets no draft.
        """
        self._sender = sender
        self._spawn = spawn
        self._backoff = backoff
        self._gather = gather
        self._log = log
        self._answers: dict[int, _Answer] = {}
        self._resting: dict[str, float] = {}
        """Until when a chat gets no drafts, in loop time."""
        self._off = False

    def hear(self, delta: Delta) -> None:
        """Take the next words of a turn. Never blocks. A turn whose beginning was missed gets no drafts."""
        answer = self._answers.get(delta.turn)
        if answer is None:
            if delta.offset or delta.aloud or not self._may(delta.conversation.chat):
                return
            answer = self._begun(delta.turn, delta.conversation.chat)
        elif delta.aloud:
            self.end(delta.turn)
        if answer.over or delta.offset > len(answer.text):
            return
        text = (answer.text[: delta.offset] + delta.text)[:MAX_CHARS]
        if text != answer.text:
            answer.text = text
            answer.news.set()

    def end(self, turn: int) -> None:
        """Show no more of a turn, which is done. A draft on its way may still arrive."""
        if answer := self._answers.get(turn):
            answer.over = True
            if answer.task and answer.still.is_set():
                answer.task.cancel()

    def shows(self, chat: str) -> bool:
        """Whether a draft has just been shown in this chat."""
        now = asyncio.get_running_loop().time()
        return any(one.chat == chat and now - one.shown_at < FRESH for one in self._answers.values())

    async def settled(self, chat: str) -> None:
        """Wait until no draft is on its way to this chat, but no longer than ``LATEST``."""
        for answer in [one for one in self._answers.values() if one.chat == chat]:
            with suppress(TimeoutError):
                async with asyncio.timeout(LATEST):
                    await answer.still.wait()
            if answer.task and not answer.still.is_set():
                answer.task.cancel()

    def _may(self, chat: str) -> bool:
        if self._off or len(self._answers) >= MAX_TURNS or not self._sender.may_draft(chat):
            return False
        return asyncio.get_running_loop().time() >= self._resting.get(chat, -math.inf)

    def _begun(self, turn: int, chat: str) -> _Answer:
        answer = _Answer(turn, chat, self._backoff())
        answer.task = self._spawn(self._write(answer))
        if answer.task:
            self._answers[turn] = answer
            answer.task.add_done_callback(lambda _: self._answers.pop(turn, None))
        return answer

    async def _write(self, answer: _Answer) -> None:
        """Show the newest words of an answer, again and again, at the pace that messages leave over."""
        await asyncio.sleep(self._gather)
        while not (answer.over or self._sender.closed):
            await answer.news.wait()
            if not self._sender.budget.spare(answer.chat):
                await asyncio.sleep(max(TICK, self._sender.budget.until_spare(answer.chat)))
                continue
            answer.news.clear()
            answer.still.clear()
            try:
                wait = await self._shown(answer)
            finally:
                answer.still.set()
            if wait is None:
                return
            await asyncio.sleep(wait)

    async def _shown(self, answer: _Answer) -> float | None:
        """Send one draft. Returns the seconds to wait before the next one, None if there is to be none."""
        try:
            async with asyncio.timeout(DRAFT_TIMEOUT):
                await self._sender.show_draft(answer.chat, answer.turn, answer.text)
        except PROVIDER_ERRORS as error:
            return self._failed(answer, error)
        answer.failures = 0
        answer.shown_at = asyncio.get_running_loop().time()
        return 0.0

    def _failed(self, answer: _Answer, error: ProviderError) -> float | None:
        found = self._sender.account.trouble(error)
        if _is_final(error):
            self._off = isinstance(error, Refusal) and error.status in UNKNOWN
            # A chat that took a draft of this answer refuses these words, or no more of this answer.
            if answer.shown_at == -math.inf:
                self._rest(answer.chat, math.inf)
            self._log.debug("gateway.drafts_off", reason=found.reason, everywhere=self._off)
            return None
        answer.failures += 1
        wait = found.retry_after + answer.waits.next()
        self._log.debug("gateway.draft_failed", reason=found.reason, wait=round(wait, 1))
        self._rest(answer.chat, wait)
        # The words were not shown, so they are news once more.
        answer.news.set()
        return wait if answer.failures < TRIES else None

    def _rest(self, chat: str, seconds: float) -> None:
        self._resting.pop(chat, None)
        self._resting[chat] = asyncio.get_running_loop().time() + seconds
        if len(self._resting) > MAX_RESTING:
            del self._resting[next(iter(self._resting))]


def _is_final(error: ProviderError) -> bool:
    """Whether the provider itself refuses a draft. A proxy's refusal, silence and a rate limit pass."""
    if not isinstance(error, Refusal) or error.code is None:
        return False
    return error.status in UNKNOWN or (400 <= error.status < 500 and error.status not in PASSING)
