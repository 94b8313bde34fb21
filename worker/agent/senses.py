"""Her senses: a file that somebody sent becomes words, by the organ that is made for it."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from proto.messages import Perception
from proto.texts import MAX_TEXT
from worker.base.log import WorkerLog
from worker.base.organ_errors import OrganUnreachable
from worker.organs.body import Body
from worker.prompting import perceived

AT_ONCE: Final = 4
"""Files of one turn that are perceived at a time."""

TRIES: Final = 3

LONGEST_WAIT: Final = 10.0
"""Seconds: a provider that asks for more is not waited for, since a person waits for the answer."""


class Senses:
    """Lets organs perceive, again and again if need be, but not for ever."""

    def __init__(self, body: Body, wait: float, log: WorkerLog, *, visitor: bool) -> None:
        """``wait`` is the longest first pause, in seconds, before an organ is tried again.

        ``visitor``: the files are a stranger's, who is not told of her organs' trouble.
        """
        self._body = body
        self._wait = wait
        self._log = log
        self._visitor = visitor
        self._room = asyncio.Semaphore(AT_ONCE)

    async def perceive(self, perception: Perception, talk: str) -> str:
        """Return what is in a file, or why it cannot be understood; "" when she has no organ for it.

        ``talk`` is what was said last, for an eye that can make use of it.
        """
        if not perception.media or not self._body.has(perceived.ORGANS[perception.kind]):
            return ""
        async with self._room:
            try:
                text = await self._patiently(perception, perception.media, talk)
            except OrganUnreachable as error:
                organ = perceived.ORGANS[perception.kind]
                self._log.warning("organ.failed", organ=organ, reason=error.reason, hint=error.hint)
                return perceived.failed(error.told(visitor=self._visitor))
        return text.strip()[:MAX_TEXT] or perceived.nothing(perception.kind)

    async def _patiently(self, perception: Perception, media: str, talk: str) -> str:
        wait, tries = self._wait, TRIES
        while True:
            try:
                return await self._perceived(perception, media, talk)
            except OrganUnreachable as error:
                tries -= 1
                if error.permanent or not tries or (error.retry_after or 0.0) > LONGEST_WAIT:
                    raise
                pause = max(random.uniform(0.5, 1.0) * wait, error.retry_after or 0.0)
            await asyncio.sleep(pause)
            wait *= 2

    async def _perceived(self, perception: Perception, media: str, talk: str) -> str:
        match perception.kind:
            case "audio" if ear := self._body.ear:
                return await ear.hear(media)
            case "image" if eye := self._body.eye:
                return await eye.look(media, talk)
            case "document" if researcher := self._body.researcher:
                return await researcher.study(media, perception.title)
        raise ValueError(f"no organ perceives a {perception.kind}")
