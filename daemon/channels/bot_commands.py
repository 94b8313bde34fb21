"""The bot commands that the paired account can give: /start, /hello, /hush, /stop, /restart."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import msgspec

from daemon.conversations.delivery import Delivery
from daemon.conversations.hushing import HushFailed
from daemon.conversations.inbox import Inbox
from daemon.conversations.publisher import Publisher
from daemon.conversations.worker import StartFailed
from daemon.ledger import LedgerError
from daemon.logging.log import Log
from daemon.personas.personas import Personas, PersonasError
from daemon.runtime.tasks import PersonaTasks
from proto.messages import Conversation

LAST_WORDS: Final = 5.0
"""Seconds that a goodbye gets to be delivered before the process ends."""


class BotCommand(msgspec.Struct, frozen=True):
    """A command that the paired account gave in this conversation."""

    persona: str
    name: str
    conversation: Conversation


class Processes(Protocol):
    """Commands personas' processes."""

    async def stop(self, persona_id: str) -> bool:
        """Stop her until somebody starts her; False when she does not run.

        Raises PersonasError when she would run again at the next start of the daemon.
        """

    async def restart(self, persona_id: str) -> None:
        """Replace her process. Raises StartFailed, and PersonasError when her record cannot be written."""


class BotCommands:
    """Runs each command from ``commands`` in its own task: a worker that sent one must not wait for its own end."""

    def __init__(
        self,
        commands: asyncio.Queue[BotCommand],
        processes: Processes,
        inbox: Inbox,
        personas: Personas,
        publisher: Publisher,
        delivery: Delivery,
        tasks: PersonaTasks,
        log: Log,
    ) -> None:
        self._commands = commands
        self._processes = processes
        self._inbox = inbox
        self._personas = personas
        self._publisher = publisher
        self._delivery = delivery
        self._tasks = tasks
        self._log = log

    async def run(self) -> None:
        """Run commands until cancelled."""
        while True:
            command = await self._commands.get()
            self._tasks.of(command.persona).start_command(self._carry_out(command))

    async def _carry_out(self, command: BotCommand) -> None:
        orders = {
            "start": self._hello,
            "hello": self._hello,
            "hush": self._hush,
            "stop": self._stop,
            "restart": self._restart,
        }
        await orders.get(command.name, self._unknown)(command.persona, command.conversation)

    async def _hello(self, persona_id: str, conversation: Conversation) -> None:
        persona = self._personas.get(persona_id)
        name = persona.name if persona else "your persona"
        await self._say(persona_id, conversation, f"Hello! I am {name}, and I am listening.")

    async def _hush(self, persona_id: str, conversation: Conversation) -> None:
        """Stop her answer. What she had said of it comes with its sign, so nothing more needs to be said."""
        try:
            trouble = "" if await self._inbox.hush(persona_id) else "I am not answering anything right now."
        except HushFailed as failure:
            trouble = str(failure)
        if trouble:
            await self._say(persona_id, conversation, trouble)

    async def _stop(self, persona_id: str, conversation: Conversation) -> None:
        await self._say(
            persona_id, conversation, "I am stopping now. I will answer what you write after my next start.", wait=True
        )
        try:
            await self._processes.stop(persona_id)
        except PersonasError as failure:
            self._log.error("persona.stop_failed", persona=persona_id, reason=str(failure))

    async def _restart(self, persona_id: str, conversation: Conversation) -> None:
        await self._say(persona_id, conversation, "I am restarting now.", wait=True)
        try:
            await self._processes.restart(persona_id)
        except (StartFailed, PersonasError) as failure:
            self._log.error("persona.restart_failed", persona=persona_id, reason=str(failure))
        else:
            await self._say(persona_id, conversation, "I am back.")

    async def _unknown(self, persona_id: str, conversation: Conversation) -> None:
        await self._say(persona_id, conversation, "I know /hello, /hush, /stop and /restart.")

    async def _say(self, persona_id: str, conversation: Conversation, words: str, *, wait: bool = False) -> None:
        """Send a message; with ``wait``, return when it is delivered or after ``LAST_WORDS`` seconds."""
        try:
            seq = await self._publisher.say(persona_id, conversation, words)
        except LedgerError as error:
            self._log.error("inbox.answer_not_committed", persona=persona_id, reason=str(error))
            return
        if wait:
            await self._delivery.settled(seq, LAST_WORDS)
