"""The clients of the daemon: they ask, write and call, and remember what was accepted and what was refused."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable
from typing import Final, TypeVar

import msgspec

from daemon.channels.errors import ChannelRefused
from daemon.conversations.consolidation import SleepFailed
from daemon.conversations.inbox import InboxFull
from daemon.conversations.worker import StartFailed
from daemon.ledger import LedgerError
from daemon.personas.personas import PersonasError
from proto.gateways import Inbound
from tests.daemon.fakes.clock import LoopClock
from tests.daemon.fakes.processes import Outside
from tests.faults.assembled_daemon import AssembledDaemon
from tests.faults.awaits import Sabotage
from tests.faults.people import ADA, DESK, OWNER, PHONE, WEB_CHAT

T = TypeVar("T")

PATIENCE: Final = 900.0
"""Seconds of the jumping clock: more than every backoff and retry of the daemon that the day can meet."""
REFUSALS: Final = (StartFailed, ChannelRefused, InboxFull, LedgerError, SleepFailed, PersonasError)


class Clients:
    """Clients of one daemon over all its lives. ``accepted`` are the words that it said it has."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside
        self.accepted: list[str] = []
        self.answers_sent: list[str] = []
        """Those of ``accepted`` whose answers go over a gateway."""
        self.failed_requests: list[Sabotage] = []
        self.refused: list[str] = []
        self.lies: list[str] = []
        self._keys = 0
        self._last: list[str] = []

    async def ask(self, work: Awaitable[T]) -> T | None:
        """A client's request: a refusal and a failure are told to the client."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await work
        except Sabotage as error:
            self.failed_requests.append(error)
        except REFUSALS as error:
            self.refused.append(str(error))
        except TimeoutError:
            self.lies.append(f"a request was never answered: {work}")
        return None

    async def say(self, daemon: AssembledDaemon, words: str) -> None:
        """The owner writes on the web."""
        if await daemon.inbox.accept(ADA, WEB_CHAT, "text", words):
            self.accepted.append(words)

    async def call(self, daemon: AssembledDaemon, words: str, channel: str = DESK) -> None:
        """A provider calls with what a visitor or the owner wrote."""
        if await self._call_with(daemon, channel, words):
            self.accepted.append(words)
            self.answers_sent.append(words)

    async def _call_with(self, daemon: AssembledDaemon, channel: str, words: str) -> bool:
        body = msgspec.json.encode(self._item("h1" if channel == DESK else OWNER, words))
        accepted: bool = await daemon.webhooks.accept(ADA, channel, f"key-{words}", "application/json", body)
        return accepted

    def post(self, channel: str, account: str, words: str, *, answered: bool = True, **fields: object) -> None:
        """Somebody writes to a bot; the provider keeps it until it is taken."""
        if answered:
            self.accepted.append(words)
            self.answers_sent.append(words)
        self.outside.write(channel, msgspec.structs.replace(self._item(account, words), **fields))

    def _item(self, account: str, words: str) -> Inbound:
        self._keys += 1
        at = LoopClock().time_ns()
        return Inbound(f"k{self._keys}", account, f"name-{account}", account, True, "text", words, at)  # noqa: FBT003

    def _code(self, channel: str = PHONE) -> str:
        """The code that was shown last."""
        shown = [one.content for one in self.outside.shown if one.channel == channel]
        return shown[-1].split("\n\n")[1] if shown else "NOCODE"

    async def _lines(self, daemon: AssembledDaemon, role: str) -> list[str]:
        """What one side said to or as Ada, in every conversation."""

        def read(connection: sqlite3.Connection) -> list[str]:
            asked = "SELECT content FROM conversation WHERE persona = ? AND role = ?"
            return [content for (content,) in connection.execute(asked, (ADA, role))]

        return await daemon.ledger._reader.submit(read)
