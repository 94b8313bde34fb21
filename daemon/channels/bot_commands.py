"""What the paired account can tell a persona by bot command: /start, /hello, /stop, /restart."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Final

from daemon.conversations.delivery import Delivery
from daemon.conversations.publisher import Publisher
from daemon.conversations.worker import StartFailed
from daemon.ledger import LedgerError
from daemon.logging.log import Log
from daemon.personas.personas import Personas
from daemon.supervision.supervisor import Supervisor
from proto.messages import Conversation

LAST_WORDS: Final = 5.0
"""Seconds that a goodbye gets to be delivered before the process goes."""


class BotCommands:
    """Obeys in the background: the worker that brought a command must not wait for its own end."""

    def __init__(
        self, supervisor: Supervisor, personas: Personas, publisher: Publisher, delivery: Delivery, log: Log
    ) -> None:
        self._supervisor = supervisor
        self._personas = personas
        self._publisher = publisher
        self._delivery = delivery
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()

    def obey(self, persona_id: str, command: str, conversation: Conversation) -> None:
        """Carry out a command of the paired account; one that does not exist is told so."""
        orders = {"start": self._hello, "hello": self._hello, "stop": self._stop, "restart": self._restart}
        self._go(orders.get(command, self._unknown)(persona_id, conversation))

    def _go(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hello(self, persona_id: str, conversation: Conversation) -> None:
        persona = self._personas.get(persona_id)
        name = persona.name if persona else "your persona"
        await self._say(persona_id, conversation, f"Hello! I am {name}, and I am listening.")

    async def _stop(self, persona_id: str, conversation: Conversation) -> None:
        await self._say(persona_id, conversation, "I stop now. What you write waits until my next start.", wait=True)
        await self._supervisor.stop(persona_id)

    async def _restart(self, persona_id: str, conversation: Conversation) -> None:
        await self._say(persona_id, conversation, "I restart now.", wait=True)
        try:
            await self._supervisor.restart(persona_id)
        except StartFailed as failure:
            self._log.error("persona.restart_failed", persona=persona_id, reason=str(failure))
        else:
            await self._say(persona_id, conversation, "I am back.")

    async def _unknown(self, persona_id: str, conversation: Conversation) -> None:
        await self._say(persona_id, conversation, "I know /hello, /stop and /restart.")

    async def _say(self, persona_id: str, conversation: Conversation, words: str, *, wait: bool = False) -> None:
        """Say it; with ``wait``, go on when it is delivered or has had its time."""
        try:
            seq = await self._publisher.say(persona_id, conversation, words)
        except LedgerError as error:
            self._log.error("inbox.answer_not_committed", persona=persona_id, reason=str(error))
            return
        if wait:
            await self._delivery.settled(seq, LAST_WORDS)
