"""Her senses: each file that somebody sent is turned into text by the organ for its kind."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from proto.messages import Perception
from proto.texts import MAX_TEXT
from worker.base.log import WorkerLog
from worker.base.organ_errors import OrganUnreachable
from worker.organs.body import Body
from worker.prompting import perceived

AT_ONCE: Final = 4
"""How many files of one turn are perceived at the same time."""

TRIES: Final = 3

LONGEST_WAIT: Final = 10.0
"""Seconds. If a provider asks for a longer wait, the file is given up, because a person is waiting for the answer."""


MAX_KEPT: Final = 32
"""Files whose text is kept for the next turn about them."""


class Understood:
    """The texts of files in turns that ended without an answer, so that no organ has to perceive them again."""

    def __init__(self) -> None:
        self._texts: OrderedDict[int, str] = OrderedDict()

    def keep(self, texts: Mapping[int, str]) -> None:
        """Keep texts by the perception's id; the oldest make room."""
        self._texts.update(texts)
        while len(self._texts) > MAX_KEPT:
            self._texts.popitem(last=False)

    def take(self, perception: int) -> str | None:
        """Hand over a text, which is then forgotten."""
        return self._texts.pop(perception, None)


class Senses:
    """Lets organs perceive files, with a limited number of retries."""

    def __init__(self, body: Body, wait: float, log: WorkerLog, *, visitor: bool) -> None:
        """``wait`` is the upper bound of the first pause, in seconds, before an organ is retried.

        ``visitor``: the files come from a stranger, who learns nothing about problems with her organs.
        """
        self._body = body
        self._wait = wait
        self._log = log
        self._visitor = visitor
        self._room = asyncio.Semaphore(AT_ONCE)

    async def perceive(self, perception: Perception, context: str) -> str:
        """Return the content of a file, or why it cannot be understood, or "" when she has no organ for it.

        ``context`` is the latest part of the conversation, for an eye that can make use of it.
        """
        if not perception.media or not self._body.has(perceived.ORGANS[perception.kind]):
            return ""
        async with self._room:
            try:
                text = await self._patiently(perception, perception.media, context)
            except OrganUnreachable as error:
                organ = perceived.ORGANS[perception.kind]
                self._log.warning("organ.failed", organ=organ, reason=error.reason, hint=error.hint)
                return perceived.failed(error.shown(visitor=self._visitor))
        return text.strip()[:MAX_TEXT] or perceived.nothing(perception.kind)

    async def _patiently(self, perception: Perception, media: str, context: str) -> str:
        wait, tries = self._wait, TRIES
        while True:
            try:
                return await self._perceived(perception, media, context)
            except OrganUnreachable as error:
                tries -= 1
                if error.permanent or not tries or (error.retry_after or 0.0) > LONGEST_WAIT:
                    raise
                pause = max(random.uniform(0.5, 1.0) * wait, error.retry_after or 0.0)
            await asyncio.sleep(pause)
            wait *= 2

    async def _perceived(self, perception: Perception, media: str, context: str) -> str:
        match perception.kind:
            case "audio" if ear := self._body.ear:
                return await ear.hear(media)
            case "image" if eye := self._body.eye:
                return await eye.look(media, context)
            case "document" if researcher := self._body.researcher:
                return await researcher.study(media, perception.title)
        raise ValueError(f"no organ perceives a {perception.kind}")
