"""A conversation that cannot be read: it is tried again ever more rarely, and told once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import msgspec

from daemon.conversations.agenda import Agenda
from daemon.conversations.delivery import Delivery
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox
from daemon.conversations.publisher import Publisher
from daemon.conversations.requests import Requests
from daemon.conversations.terms import ChannelTerms
from daemon.ledger import Ledger, LedgerDamaged, Waiting
from daemon.personas.instructions import Instructions
from daemon.personas.personas import Personas
from daemon.runtime.kept_clock import KeptClock
from daemon.runtime.tasks import PersonaTasks
from daemon.settings.settings import Settings
from proto.gateways import GatewayState
from proto.messages import Conversation, Line, Perceive, Perception
from tests.daemon.fakes.recalling import by_words
from tests.daemon.supervision.played import ManualClock, log_to, logged
from tests.patience import PATIENCE

EVE: Final = "11111111-1111-4111-8111-111111111111"
WEB: Final = Conversation("web", EVE)


class Damaged(Ledger):
    """A ledger in which no conversation can be read until ``sound``."""

    reads = 0
    sound = False

    async def history(self, persona_id: str, conversation: Conversation, limit: int) -> list[Line]:
        self.reads += 1
        if not self.sound:
            raise LedgerDamaged("the page is damaged")
        return []


class Process:
    """Her process, which keeps what it is sent."""

    def __init__(self) -> None:
        self.gateways: list[GatewayState] = []
        self.sent: list[msgspec.Struct] = []
        self.asked = asyncio.Event()

    def send(self, message: msgspec.Struct) -> None:
        self.sent.append(message)
        self.asked.set()


async def test_a_page_that_stays_damaged_is_told_once(tmp_path: Path) -> None:
    """In an hour there are some sixty tries and one line in the log; once it can be read, she has the message."""
    machine = ManualClock()
    clock, process = KeptClock(machine, 0), Process()
    settings = Settings(state_dir=tmp_path, runtime_dir=tmp_path)
    ledger = await Damaged.open(tmp_path / "ledger.db")
    assert isinstance(ledger, Damaged)
    with log_to(tmp_path / "log") as log:
        tasks = PersonaTasks(machine, log)
        personas = Personas(tmp_path / "personas", log)
        hubs = Hubs(ledger, settings.limits, 0, clock)
        terms = ChannelTerms(ledger, {}, clock, log)
        delivery = Delivery(ledger, personas, hubs, tasks, clock, log)
        publisher = Publisher(ledger, hubs, personas, Requests(ledger), delivery.refresh, clock, log)
        told, quiet = Instructions(personas, log), (lambda _: None, lambda _: None)
        recaller, agenda = by_words(ledger, personas, clock, log), Agenda(ledger)
        inbox = Inbox(settings, ledger, personas, told, terms, publisher, recaller, *quiet, tasks, clock, log, agenda)
        inbox.attach(EVE, process)
        inbox.admit(EVE, [Waiting(Perception(1, "text", "hello", 1), WEB, 0)])
        for _ in range(360):
            await machine.advance(10)
        assert 50 < ledger.reads < 150
        assert len(logged(log, "inbox.history_unreadable")) == 1
        ledger.sound = True
        await machine.advance(120)
        # What was said before is looked up on the ledger's thread, which the clock does not turn.
        async with asyncio.timeout(PATIENCE):
            await process.asked.wait()
        [message] = process.sent
        assert isinstance(message, Perceive)
        await tasks.close()
    await ledger.close()
