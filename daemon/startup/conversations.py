"""Makes the parts that take in, publish and deliver what is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from daemon.conversations.agenda import Agenda
from daemon.conversations.consolidation import Consolidation
from daemon.conversations.delivery import Delivery
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox
from daemon.conversations.publisher import Publisher
from daemon.conversations.recaller import Recaller
from daemon.conversations.requests import Requests
from daemon.conversations.terms import ChannelTerms
from daemon.conversations.unkept import Unkept
from daemon.ledger import Ledger
from daemon.logging.log import Log
from daemon.personas.instructions import Instructions
from daemon.personas.memories import Memories
from daemon.personas.personas import Personas
from daemon.recall.meaning import Meaning
from daemon.recall.service import Recall
from daemon.runtime.kept_clock import KeptClock
from daemon.runtime.tasks import PersonaTasks
from daemon.settings.settings import Settings
from proto.records import Organ


class Conversations(NamedTuple):
    """What is said: taken in, published and delivered."""

    hubs: Hubs
    publisher: Publisher
    terms: ChannelTerms
    inbox: Inbox
    consolidation: Consolidation
    delivery: Delivery
    recaller: Recaller
    agenda: Agenda
    unkept: Unkept


async def make_conversations(
    settings: Settings,
    ledger: Ledger,
    personas: Personas,
    memories: Memories,
    instructions: Instructions,
    meaning: Meaning,
    models: Mapping[str, Organ],
    tasks: PersonaTasks,
    clock: KeptClock,
    log: Log,
) -> Conversations:
    """Make them from the ground up."""
    hubs = Hubs(ledger, settings.limits, await ledger.last_seq(), clock)
    terms = ChannelTerms(ledger, models, clock, log)
    timeout = settings.mind.total_timeout
    consolidation = Consolidation(ledger, personas, memories, instructions, timeout, tasks, clock, log)
    delivery = Delivery(ledger, personas, hubs, tasks, clock, log)
    publisher = Publisher(ledger, hubs, personas, Requests(ledger), delivery.refresh, clock, log)
    touched, told = consolidation.touched, consolidation.told
    recaller, agenda = Recaller(Recall(ledger, meaning, clock, log), personas), Agenda(ledger)
    inbox = Inbox(
        settings, ledger, personas, instructions, terms, publisher, recaller, touched, told, tasks, clock, log, agenda
    )
    unkept = Unkept(inbox, recaller, personas, tasks, clock)
    return Conversations(hubs, publisher, terms, inbox, consolidation, delivery, recaller, agenda, unkept)
