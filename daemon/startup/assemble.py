"""Makes the daemon's parts floor by floor, from the ground up; each part is given what it uses.

Whatever has to be closed goes onto a stack as it is made, so that the daemon leaves in the reverse order: nothing is
closed before the parts that use it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, NamedTuple

from starlette.types import ASGIApp

from daemon.api.app import build
from daemon.archives.restore import RESTORE_FOLDER
from daemon.channels.bot_commands import BotCommands
from daemon.channels.gateways import ChannelGateways
from daemon.channels.intake import ChannelIntake
from daemon.channels.owner_intake import OwnerIntake
from daemon.channels.pairing import Pairing
from daemon.channels.register import ChannelRegister
from daemon.channels.service import ChannelService
from daemon.channels.states import GatewayStates
from daemon.channels.visitor_intake import VisitorIntake
from daemon.channels.webhook_queue import WebhookQueue
from daemon.conversations.consolidation import Consolidation
from daemon.conversations.delivery import Delivery
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox
from daemon.conversations.publisher import Publisher
from daemon.conversations.terms import ChannelTerms
from daemon.feeding.feeds import FOLDER as FEEDS_NAME
from daemon.feeding.feeds import Feeds, settle_digests
from daemon.ledger import Ledger
from daemon.logging.log import Log
from daemon.personas.media import Uploads, remove_leftovers
from daemon.personas.personas import Personas
from daemon.personas.spool import clear
from daemon.runtime.clock import Clock, SystemClock
from daemon.settings.accounts import ReadAccount, read_accounts, read_models
from daemon.settings.settings import Settings
from daemon.startup.routes import api_routes, v1_routes
from daemon.supervision.dispatch import Parts
from daemon.supervision.link import Link
from daemon.supervision.organ_host import OrganHost
from daemon.supervision.spawner import Spawner
from daemon.supervision.supervisor import Supervisor
from daemon.webhooks import WebhookApp, WebhookChannels
from proto.records import Organ

LEDGER_NAME: Final = "ledger.db"
PERSONAS_NAME: Final = "personas"
HEARTBEATS_TO_HANG: Final = 3


class Conversations(NamedTuple):
    """What is said: taken in, published and delivered."""

    hubs: Hubs
    publisher: Publisher
    terms: ChannelTerms
    inbox: Inbox
    consolidation: Consolidation
    delivery: Delivery


class Channels(NamedTuple):
    """Where it is said."""

    webhook_queue: WebhookQueue
    owner_intake: OwnerIntake
    register: ChannelRegister
    gateways: ChannelGateways
    intake: ChannelIntake
    states: GatewayStates


class Assembled(NamedTuple):
    """The two applications, and the parts that have to be brought up, watched and told to leave."""

    api: ASGIApp
    webhooks: ASGIApp
    supervisor: Supervisor
    personas: Personas
    channels: ChannelService
    ledger: Ledger
    hubs: Hubs


async def assemble(settings: Settings, stopping: asyncio.Event, log: Log, stack: AsyncExitStack) -> Assembled:
    """Make everything but the processes and the listeners. ``stopping`` is set when the daemon begins to leave.

    Raises LedgerError, TokenError and SettingsError.
    """
    clock = SystemClock()
    accounts, models = read_accounts(settings), read_models(settings)
    request_counts: Counter[tuple[str, str, int]] = Counter()
    webhook_counts: Counter[tuple[str, int]] = Counter()
    ledger = await Ledger.open(settings.state_dir / LEDGER_NAME)
    stack.push_async_callback(ledger.close)
    personas = await _personas(settings.state_dir, ledger, log)
    link = Link(settings.runtime_dir, log)
    stack.callback(link.close)
    said = await _conversations(settings, ledger, personas, models, clock, log, stack)
    places = _channels(settings, ledger, personas, said, accounts, clock, log, stack)
    await _recover(ledger, personas, said.inbox, places.register)
    supervisor, feeds = _processes(settings, ledger, personas, said, places, link, stopping, log, stack)
    channels = _channel_service(ledger, personas, said, places, supervisor, accounts, clock, log, stack)
    uploads = Uploads(settings.limits.uploads_at_once)
    stack.callback(uploads.close)
    stack.push_async_callback(feeds.close)
    api = build(
        api_routes(
            settings=settings,
            personas=personas,
            supervisor=supervisor,
            ledger=ledger,
            hubs=said.hubs,
            inbox=said.inbox,
            consolidation=said.consolidation,
            register=places.register,
            channels=channels,
            feeds=feeds,
            uploads=uploads,
            request_counts=request_counts,
            webhook_counts=webhook_counts,
            started_at=clock.monotonic(),
            stopping=stopping,
            log=log,
        ),
        v1_routes(
            settings=settings,
            personas=personas,
            ledger=ledger,
            channels=channels,
            accounts=accounts,
            models=models,
            clock=clock,
            log=log,
        ),
        settings=settings,
        request_counts=request_counts,
        log=log,
    )
    find = WebhookChannels(ledger, said.terms, accounts).find
    webhooks = WebhookApp(find, places.webhook_queue, settings.hooks.public_url, webhook_counts, log)
    return Assembled(api, webhooks, supervisor, personas, channels, ledger, said.hubs)


async def _personas(state_dir: Path, ledger: Ledger, log: Log) -> Personas:
    """Read the personas, and finish or undo what a kill cut short in their folders and in the ledger."""
    personas = Personas(state_dir / PERSONAS_NAME, log)
    await personas.load()
    for persona_id in await personas.graves():
        await ledger.forget(persona_id)
        await personas.bury(persona_id)
    await remove_leftovers(state_dir / PERSONAS_NAME, ledger, log)
    await asyncio.to_thread(_clear, state_dir)
    await settle_digests(ledger, personas, log)
    return personas


def _clear(state_dir: Path) -> None:
    """Remove exports and archives whose request a crash cut short."""
    clear((state_dir / PERSONAS_NAME).glob(f"*/{FEEDS_NAME}"))
    clear(state_dir.glob(f"{RESTORE_FOLDER}*"))


async def _conversations(
    settings: Settings,
    ledger: Ledger,
    personas: Personas,
    models: Mapping[str, Organ],
    clock: Clock,
    log: Log,
    stack: AsyncExitStack,
) -> Conversations:
    hubs = Hubs(ledger, settings.limits, await ledger.last_seq())
    publisher = Publisher(ledger, hubs, personas, clock, log)
    terms = ChannelTerms(ledger, models, clock, log)
    inbox = Inbox(settings, ledger, personas, terms, publisher, clock, log)
    stack.push_async_callback(inbox.close)
    consolidation = Consolidation(ledger, personas, settings.mind.total_timeout, clock, log)
    stack.push_async_callback(consolidation.close)
    inbox.touched = consolidation.touched
    delivery = Delivery(ledger, personas, hubs, clock, log)
    stack.push_async_callback(delivery.close)
    publisher.said = delivery.refresh
    return Conversations(hubs, publisher, terms, inbox, consolidation, delivery)


def _channels(
    settings: Settings,
    ledger: Ledger,
    personas: Personas,
    said: Conversations,
    accounts: Mapping[str, ReadAccount],
    clock: Clock,
    log: Log,
    stack: AsyncExitStack,
) -> Channels:
    hubs, publisher, terms, inbox, _, _ = said
    webhook_queue = WebhookQueue(ledger, settings.supervisor.poison_deaths, clock, log)
    stack.push_async_callback(webhook_queue.close)
    owner_intake = OwnerIntake(ledger, personas, inbox, hubs, clock)
    visitor_intake = VisitorIntake(settings.channels, ledger, personas, inbox, publisher, webhook_queue, clock)
    register = ChannelRegister(ledger, personas, terms, inbox, owner_intake, clock, log)
    webhooks_url = settings.hooks.public_url.rstrip("/") if settings.hooks.port else ""
    gateways = ChannelGateways(register, ledger, personas, accounts, webhooks_url, clock, log)
    states = GatewayStates(ledger, personas, terms, hubs, clock, log)
    stack.push_async_callback(states.close)
    intake = ChannelIntake(ledger, personas, terms, owner_intake, visitor_intake, log)
    stack.push_async_callback(intake.close)
    return Channels(webhook_queue, owner_intake, register, gateways, intake, states)


async def _recover(ledger: Ledger, personas: Personas, inbox: Inbox, register: ChannelRegister) -> None:
    """Take up what the last daemon left: sends in hand, channels half changed, messages that wait."""
    await ledger.reopen_sending()
    await register.reconcile()
    for persona in personas.all():
        await inbox.load(persona.id)


def _processes(
    settings: Settings,
    ledger: Ledger,
    personas: Personas,
    said: Conversations,
    places: Channels,
    link: Link,
    stopping: asyncio.Event,
    log: Log,
    stack: AsyncExitStack,
) -> tuple[Supervisor, Feeds]:
    heartbeat = settings.supervisor.hang_after / HEARTBEATS_TO_HANG
    spawner = Spawner(link.endpoint, heartbeat, settings.logs.worker_line, log)
    organ_host = OrganHost(settings.organs, ledger, spawner, link, log)
    parts = Parts(
        settings,
        personas,
        said.hubs,
        said.inbox,
        said.terms,
        said.consolidation,
        places.register,
        places.gateways,
        places.intake,
        places.states,
        places.webhook_queue,
        said.delivery,
        link,
        spawner,
        organ_host,
        log,
    )
    supervisor = Supervisor(parts)
    stack.push_async_callback(supervisor.close)
    places.owner_intake.command = BotCommands(supervisor, personas, said.publisher, said.delivery, log).obey
    return supervisor, Feeds(parts, ledger, supervisor, stopping)


def _channel_service(
    ledger: Ledger,
    personas: Personas,
    said: Conversations,
    places: Channels,
    supervisor: Supervisor,
    accounts: Mapping[str, ReadAccount],
    clock: Clock,
    log: Log,
    stack: AsyncExitStack,
) -> ChannelService:
    pairing = Pairing(
        register=places.register,
        ledger=ledger,
        personas=personas,
        inbox=said.inbox,
        publisher=said.publisher,
        hubs=said.hubs,
        processes=supervisor,
        clock=clock,
        log=log,
    )
    channels = ChannelService(
        register=places.register,
        pairing=pairing,
        ledger=ledger,
        personas=personas,
        processes=supervisor,
        accounts=accounts,
        hubs=said.hubs,
        clock=clock,
        log=log,
    )
    stack.push_async_callback(channels.close)
    return channels
