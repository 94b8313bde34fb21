"""Puts the daemon's parts together, from the ledger up to the processes. Each takes what it uses."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

from daemon.archives.restore import RESTORE_FOLDER
from daemon.channels.bot_commands import BotCommand, BotCommands
from daemon.channels.gateways import Channels
from daemon.channels.owner_intake import OwnerIntake
from daemon.channels.pairing import Pairing
from daemon.channels.visitor_intake import VisitorIntake
from daemon.channels.webhook_queue import WebhookQueue
from daemon.conversations.consolidation import Consolidation
from daemon.conversations.delivery import Delivery
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox
from daemon.conversations.publisher import Publisher
from daemon.conversations.terms import ChannelTerms
from daemon.feeding.feeds import FOLDER as FEEDS_NAME
from daemon.feeding.feeds import Feeds, apply_digests
from daemon.ledger import Ledger
from daemon.logging.log import Log
from daemon.personas.media import Uploads, remove_leftovers
from daemon.personas.personas import Personas
from daemon.personas.spool import clear
from daemon.runtime.clock import Clock
from daemon.runtime.tasks import PersonaTasks, Tasks
from daemon.settings.accounts import ReadAccount, read_accounts, read_models
from daemon.settings.settings import Settings
from daemon.startup.daemon import Daemon
from daemon.supervision.briefing import Briefing
from daemon.supervision.dispatch import Dispatch
from daemon.supervision.keeper import Keeper
from daemon.supervision.link import Link
from daemon.supervision.linked_process import Workshop
from daemon.supervision.organ_host import OrganHost
from daemon.supervision.persona_life import Attendant, PersonaLife
from daemon.supervision.prober import Prober
from daemon.supervision.provisions import mind_limits, provider_urls
from daemon.supervision.spawner import Spawner
from daemon.supervision.supervisor import Supervisor
from proto.records import Organ

LEDGER_NAME: Final = "ledger.db"
PERSONAS_NAME: Final = "personas"
HEARTBEATS_TO_HANG: Final = 3


class Base(NamedTuple):
    """What everything stands on."""

    settings: Settings
    ledger: Ledger
    personas: Personas
    hubs: Hubs
    tasks: Tasks
    persona_tasks: PersonaTasks
    clock: Clock
    log: Log


class Conversations(NamedTuple):
    """What becomes of messages, whichever way they came."""

    terms: ChannelTerms
    publisher: Publisher
    inbox: Inbox
    consolidation: Consolidation
    delivery: Delivery


class ChannelParts(NamedTuple):
    """The ways in over gateways. ``commands`` are what owners asked for by bot command."""

    channels: Channels
    webhook_queue: WebhookQueue
    commands: asyncio.Queue[BotCommand]


async def assemble(settings: Settings, tasks: Tasks, clock: Clock, log: Log) -> Daemon:
    """Everything but the listeners; no process runs yet. Raises LedgerError, SettingsError."""
    accounts, models = read_accounts(settings), read_models(settings)
    base = await _open(settings, tasks, clock, log)
    talk = _conversations(base, models)
    ways = _channels(base, talk, accounts)
    await _read_back(base, talk, ways.channels)
    link = Link(settings.runtime_dir, log)
    heartbeat = settings.supervisor.hang_after / HEARTBEATS_TO_HANG
    spawner = Spawner(link.endpoint, heartbeat, settings.logs.worker_line, tasks, log)
    workshop = Workshop(spawner, link, clock)
    supervisor = _supervisor(base, talk, ways, spawner, workshop)
    commands = BotCommands(
        ways.commands, supervisor, base.personas, talk.publisher, talk.delivery, base.persona_tasks, log
    )
    pairing = Pairing(base.ledger, base.personas, talk.inbox, talk.publisher, base.hubs, supervisor.send, log)
    stopping = asyncio.Event()
    feeds = Feeds(
        settings,
        base.ledger,
        base.personas,
        base.hubs,
        talk.consolidation,
        supervisor,
        workshop,
        base.persona_tasks,
        stopping,
        log,
    )
    return Daemon(
        settings=settings,
        log=log,
        tail=log.tail,
        ledger=base.ledger,
        hubs=base.hubs,
        personas=base.personas,
        supervisor=supervisor,
        inbox=talk.inbox,
        consolidation=talk.consolidation,
        channels=ways.channels,
        delivery=talk.delivery,
        terms=talk.terms,
        webhook_queue=ways.webhook_queue,
        webhook_requests=Counter(),
        pairing=pairing,
        link=link,
        uploads=Uploads(settings.limits.uploads_at_once),
        accounts=accounts,
        models=models,
        feeds=feeds,
        tasks=tasks,
        persona_tasks=base.persona_tasks,
        bot_commands=commands,
        started_at=time.monotonic(),
        stopping=stopping,
    )


async def _open(settings: Settings, tasks: Tasks, clock: Clock, log: Log) -> Base:
    """Open the ledger and the records, and clear away what a crash left half done."""
    folder = settings.state_dir / PERSONAS_NAME
    ledger = await Ledger.open(settings.state_dir / LEDGER_NAME)
    personas = Personas(folder, log)
    await personas.load()
    for persona_id in await personas.graves():
        await ledger.forget(persona_id)
        await personas.bury(persona_id)
    await remove_leftovers(folder, ledger, log)
    await asyncio.to_thread(_clear, settings.state_dir)
    await apply_digests(ledger, personas, log)
    hubs = Hubs(ledger, settings.limits, await ledger.last_seq())
    return Base(settings, ledger, personas, hubs, tasks, PersonaTasks(clock, log), clock, log)


def _clear(state_dir: Path) -> None:
    """Remove exports and archives whose request a crash cut short."""
    clear((state_dir / PERSONAS_NAME).glob(f"*/{FEEDS_NAME}"))
    clear(state_dir.glob(f"{RESTORE_FOLDER}*"))


def _conversations(base: Base, models: dict[str, Organ]) -> Conversations:
    settings, ledger, personas, hubs, _, tasks, clock, log = base
    terms = ChannelTerms(ledger, models, clock, log)
    consolidation = Consolidation(ledger, personas, settings.mind.total_timeout, tasks, clock, log)
    delivery = Delivery(ledger, personas, hubs, tasks, clock, log)
    publisher = Publisher(ledger, hubs, personas, delivery.refresh, clock, log)
    inbox = Inbox(settings, ledger, personas, terms, publisher, consolidation.touched, tasks, clock, log)
    return Conversations(terms, publisher, inbox, consolidation, delivery)


def _channels(base: Base, talk: Conversations, accounts: dict[str, ReadAccount]) -> ChannelParts:
    settings, ledger, personas, hubs, _, tasks, clock, log = base
    commands: asyncio.Queue[BotCommand] = asyncio.Queue()
    queue = WebhookQueue(ledger, settings.supervisor.poison_deaths, tasks, clock, log)
    owner_intake = OwnerIntake(ledger, personas, talk.inbox, hubs, commands, clock)
    visitor_intake = VisitorIntake(settings.channels, ledger, personas, talk.inbox, talk.publisher, queue, clock)
    webhooks_url = settings.hooks.public_url.rstrip("/") if settings.hooks.port else ""
    channels = Channels(
        ledger,
        personas,
        talk.inbox,
        talk.terms,
        owner_intake,
        visitor_intake,
        accounts,
        webhooks_url,
        hubs,
        tasks,
        clock,
        log,
    )
    return ChannelParts(channels, queue, commands)


async def _read_back(base: Base, talk: Conversations, channels: Channels) -> None:
    """Read from the ledger what every persona's life goes on with."""
    await base.ledger.unsettle()
    for persona in base.personas.all():
        await channels.settle(persona)
        await channels.recover(persona)
        await talk.terms.load(persona.id)
        await talk.inbox.load(persona.id)


def _supervisor(
    base: Base, talk: Conversations, ways: ChannelParts, spawner: Spawner, workshop: Workshop
) -> Supervisor:
    settings, ledger, personas, hubs, tasks, persona_tasks, clock, log = base
    limits, channels = settings.supervisor, ways.channels
    organ_host = OrganHost(settings.organs, ledger, workshop, tasks, clock, log)
    prober = Prober(workshop, mind_limits(settings), provider_urls(settings), limits.hang_after, tasks, clock, log)
    briefing = Briefing(settings, personas, talk.inbox, talk.terms, channels)
    dispatch = Dispatch(personas, talk.inbox, talk.consolidation, channels, talk.delivery, organ_host)
    attendants: list[Attendant] = [talk.consolidation, talk.delivery, ways.webhook_queue]

    def new_keeper(persona_id: str) -> Keeper:
        own = persona_tasks.of(persona_id)
        life = PersonaLife(
            persona_id,
            workshop,
            limits,
            briefing,
            dispatch,
            talk.inbox,
            attendants,
            channels,
            personas,
            hubs,
            own,
            log,
        )
        return Keeper(life, limits, own, tasks, clock, log.bind(persona=persona_id))

    return Supervisor(
        personas,
        hubs,
        talk.inbox,
        talk.consolidation,
        channels,
        spawner,
        organ_host,
        prober,
        new_keeper,
        persona_tasks,
        log,
    )
