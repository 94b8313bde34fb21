"""Speaks an answer sentence by sentence while it is thought: the first sound does not wait for the last word."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Final

from proto.streaming import MAX_SPOKEN
from worker.base.log import WorkerLog
from worker.base.organ_errors import OrganUnreachable
from worker.organs import made
from worker.organs.body import Body
from worker.prompting.speech import SPOKEN_CHARS, speakable

SHORTEST: Final = 12
"""A sentence with fewer characters ("Hello!") is spoken together with the next one."""

RECORDING_BYTES: Final = 5_000_000

_END: Final = re.compile(r"(?<![.!?])[.!?]++[\"')\]]*+(?=\s)|(?<!\n)\n\n")


class Aloud:
    """The speech of one answer. ``tell`` gets each sentence when it is spoken: its number from 1, its words and sound.

    A number 1 after others: her mind was asked again, and what was told before is void.
    """

    def __init__(
        self,
        body: Body,
        media: Path,
        start: Callable[[Coroutine[None, None, None]], asyncio.Task[None]],
        tell: Callable[[int, str, bytes], None],
        log: WorkerLog,
    ) -> None:
        """``media`` is her media folder; ``start`` starts a task whose unexpected errors are reported."""
        self._body = body
        self._media = media
        self._start = start
        self._tell = tell
        self._log = log
        self._begun = ""
        """What was handed to her mouth, or waits for it."""
        self._waiting: deque[str] = deque()
        self._sounds: list[bytes] = []
        self._sentences = 0
        """How many were handed to her mouth."""
        self._task: asyncio.Task[None] | None = None
        self._is_given_up = False

    def grow(self, words: str) -> None:
        """Speak the sentences that are complete in all that is said so far."""
        if not words.startswith(self._begun):
            self._begin()
        if len(words) > SPOKEN_CHARS:
            # It will be written.
            self.end()
        if self._is_given_up:
            return
        for end in _END.finditer(words, len(self._begun)):
            if end.end() - len(self._begun) >= SHORTEST:
                self._speak(words[: end.end()])

    async def whole(self, answer: str) -> str | None:
        """Speak the rest of the answer and return the file with all of it; None if it has to be spoken as a whole.

        Raises OSError when the file cannot be written.
        """
        if self._is_given_up or not self._begun or not answer.startswith(self._begun):
            return None
        if answer[len(self._begun) :].strip():
            self._speak(answer)
        if self._task:
            await asyncio.wait({self._task})
        # A sentence that could not be spoken leaves others waiting or the sounds incomplete.
        return await self._joined() if len(self._sounds) == self._sentences else None

    def end(self) -> None:
        """Speak no more."""
        self._is_given_up = True
        self._cancel()

    def _begin(self) -> None:
        self._cancel()
        self._begun, self._sounds, self._sentences = "", [], 0

    def _cancel(self) -> None:
        self._waiting.clear()
        if self._task:
            self._task.cancel()
            self._task = None

    def _speak(self, words: str) -> None:
        """Speak what follows the sentences before."""
        self._sentences += 1
        self._waiting.append(words[len(self._begun) :].strip())
        self._begun = words
        if self._task is None or self._task.done():
            self._task = self._start(self._work())

    async def _work(self) -> None:
        while self._waiting:
            words = self._waiting.popleft()
            try:
                mouth = self._body.mouth
                assert mouth is not None
                name = await mouth.speak(speakable(words))
                sound = await asyncio.to_thread(self._taken, name)
            except (OrganUnreachable, OSError) as error:
                # The whole answer is spoken once more, and what keeps that from being done is reported then.
                self._log.info("mouth.sentence_failed", reason=str(error))
                self._is_given_up = True
                return
            self._sounds.append(sound)
            if len(sound) <= MAX_SPOKEN:
                self._tell(len(self._sounds), words, sound)

    def _taken(self, name: str) -> bytes:
        """Return a file's bytes and remove it: its sound becomes part of another file."""
        sound = (self._media / name).read_bytes()
        made.drop(self._media, name)
        return sound

    async def _joined(self) -> str | None:
        from worker.organs.ogg import joined

        try:
            sound = await asyncio.to_thread(joined, self._sounds)
            return await made.keep(self._media, "audio", frozenset((".ogg",)), _one(sound), RECORDING_BYTES)
        except (ValueError, made.TooLargeError, made.UnfitError) as error:
            self._log.info("mouth.not_joined", reason=str(error))
            return None


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data
