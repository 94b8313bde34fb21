"""Makes the daemon's parts floor by floor, from the ground up; each part is given what it uses.

Whatever has to be closed goes onto a stack as it is made, so that the daemon leaves in the reverse order: nothing is
closed before the parts that use it.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, NamedTuple

from starlette.types import ASGIApp

from daemon.api.app import build
from daemon.channels.bot_commands import BotCommands
from daemon.channels.erasure import Erasure
from daemon.channels.register import ChannelRegister
from daemon.channels.service import ChannelService
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox
from daemon.costs.costs import Costs
from daemon.costs.prices import Prices
from daemon.feeding.feeds import Feeds
from daemon.ledger import Ledger
from daemon.ledger.known import LEDGER_NAME, PERSONAS_NAME, mark_of
from daemon.logging.log import Log
from daemon.personas.edit_watch import EditWatch
from daemon.personas.instructions import FOLDER as INSTRUCTIONS_NAME
from daemon.personas.media import Uploads
from daemon.personas.personas import MEMORY_FOLDER as MEMORY_NAME
from daemon.personas.personas import Personas
from daemon.recall.meaning import Meaning
from daemon.reminders.due import Due
from daemon.reminders.questions import ReminderQuestions
from daemon.reminders.service import Reminders
from daemon.runtime.clock import Clock
from daemon.runtime.kept_clock import KeptClock
from daemon.runtime.tasks import PersonaTasks, Tasks
from daemon.settings.accounts import Accounts, read_models
from daemon.settings.settings import Settings
from daemon.startup.channels import Channels, make_channel_service, make_channels
from daemon.startup.conversations import Conversations, make_conversations
from daemon.startup.reading import read_knowledge, read_personas
from daemon.startup.routes import api_routes, openai_routes, v1_routes
from daemon.supervision.briefing import Briefing
from daemon.supervision.commands import Commands
from daemon.supervision.dispatch import Dispatch
from daemon.supervision.enclosures import Enclosures
from daemon.supervision.keeper import Keeper
from daemon.supervision.link import Link
from daemon.supervision.linked_process import ProcessContext
from daemon.supervision.oom_kills import OomKills, own_events
from daemon.supervision.organ_host import OrganHost
from daemon.supervision.prober import Prober
from daemon.supervision.provisions import mind_limits, provider_urls
from daemon.supervision.spawner import Spawner
from daemon.supervision.supervisor import Supervisor
from daemon.supervision.worker_start_and_exit import PersonaLifecycle, WorkerClient
from daemon.webhooks import WebhookApp, WebhookChannels

HEARTBEATS_TO_HANG: Final = 3


class Assembled(NamedTuple):
    """The two applications, and the parts that have to be brought up, watched and told to leave."""

    api: ASGIApp
    webhooks: ASGIApp
    supervisor: Supervisor
    personas: Personas
    edits: EditWatch
    channels: ChannelService
    commands: BotCommands
    ledger: Ledger
    meaning: Meaning
    hubs: Hubs
    erasure: Erasure
    clock: KeptClock
    accounts: Accounts
    due: Due


async def assemble(
    settings: Settings, stopping: asyncio.Event, tasks: Tasks, machine: Clock, log: Log, stack: AsyncExitStack
) -> Assembled:
    """Make everything but the processes and the listeners. ``stopping`` is set when the daemon begins to leave.

    Raises LedgerError, TokenError and SettingsError.
    """
    own = PersonaTasks(machine, log)
    accounts, models = Accounts(settings, os.environ), read_models(settings)
    request_counts: Counter[tuple[str, str, int]] = Counter()
    webhook_counts: Counter[tuple[str, int]] = Counter()
    ledger = await _ledger(settings.state_dir, log)
    stack.push_async_callback(ledger.close)
    clock = KeptClock(machine, await ledger.last_moment())
    personas = await read_personas(settings.state_dir, ledger, log)
    memories, instructions = await read_knowledge(personas, ledger, clock, log)
    link = Link(settings.runtime_dir, clock, log)
    stack.callback(link.close)
    heartbeat = settings.supervisor.hang_after / HEARTBEATS_TO_HANG
    spawner = Spawner(link.endpoint, heartbeat, settings.logs.worker_line, tasks, clock, log)
    context = ProcessContext(spawner, link, Enclosures(settings, accounts.files), clock, OomKills(own_events(), clock))
    organ_host = OrganHost(settings.organs, ledger, context, tasks, clock, log)
    meaning = Meaning(ledger, organ_host.embed, personas, clock, log, is_wanted=settings.organs.meaning)
    said = await make_conversations(
        settings, ledger, personas, memories, instructions, meaning, models, own, clock, log
    )
    stack.push_async_callback(own.close)
    stack.callback(said.consolidation.close)
    places = make_channels(settings, ledger, personas, said, accounts, own, clock, log)
    await _recover(ledger, personas, said.inbox, places.register)
    due = Due(ledger, personas, said.inbox, said.publisher, said.agenda, own, clock, log)
    reminders = Reminders(ledger, personas, said.agenda, due.look, clock)
    questions = ReminderQuestions(reminders, said.inbox, own, clock, log)
    afford, prices = said.inbox.afford, Prices(settings.prices)
    costs = Costs(ledger, personas, settings.budgets, prices, afford, tasks, clock, log)
    stack.callback(costs.close)
    supervisor = _supervisor(
        settings, personas, said, places, due, questions, costs, spawner, context, organ_host, tasks, own, log
    )
    stack.push_async_callback(supervisor.close)
    feeds = Feeds(
        settings,
        ledger,
        personas,
        memories,
        instructions,
        said.hubs,
        said.consolidation,
        supervisor,
        context,
        costs,
        own,
        tasks,
        stopping,
        log,
    )
    by_people = Commands(personas, places.register, supervisor)
    commands = BotCommands(places.commands, by_people, said.inbox, personas, said.publisher, said.delivery, own, log)
    erasure = Erasure(ledger, personas, said.inbox, log)
    channels = make_channel_service(ledger, personas, said, places, supervisor, accounts, own, clock, log)
    followers = {MEMORY_NAME: memories.note, INSTRUCTIONS_NAME: instructions.reload}
    edits = EditWatch(personas, channels.edited, followers, settings.state_dir / PERSONAS_NAME, clock, log)
    uploads = Uploads(settings.limits.uploads_at_once)
    stack.callback(uploads.close)
    stack.push_async_callback(feeds.close)
    api = build(
        api_routes(
            settings=settings,
            personas=personas,
            memories=memories,
            instructions=instructions,
            edits=edits,
            supervisor=supervisor,
            ledger=ledger,
            hubs=said.hubs,
            inbox=said.inbox,
            consolidation=said.consolidation,
            register=places.register,
            commands=by_people,
            channels=channels,
            feeds=feeds,
            reminders=reminders,
            costs=costs,
            uploads=uploads,
            accounts=accounts,
            request_counts=request_counts,
            webhook_counts=webhook_counts,
            tasks=tasks,
            started_at=clock.monotonic(),
            clock=clock,
            stopping=stopping,
            log=log,
        ),
        v1_routes(
            settings=settings,
            personas=personas,
            ledger=ledger,
            channels=channels,
            inbox=said.inbox,
            erasure=erasure,
            accounts=accounts,
            models=models,
            clock=clock,
            log=log,
        ),
        openai_routes(
            settings=settings,
            personas=personas,
            supervisor=supervisor,
            ledger=ledger,
            inbox=said.inbox,
            unkept=said.unkept,
            requests=said.publisher.requests,
            persona_tasks=own,
            uploads=uploads,
            tasks=tasks,
            stopping=stopping,
            clock=clock,
            log=log,
        ),
        settings=settings,
        request_counts=request_counts,
        tasks=tasks,
        log=log,
    )
    find = WebhookChannels(ledger, said.terms, accounts, clock).find
    webhooks = WebhookApp(find, places.webhook_queue, settings.hooks.public_url, webhook_counts, clock, log)
    return Assembled(
        api,
        webhooks,
        supervisor,
        personas,
        edits,
        channels,
        commands,
        ledger,
        meaning,
        said.hubs,
        erasure,
        clock,
        accounts,
        due,
    )


async def _ledger(state_dir: Path, log: Log) -> Ledger:
    def unreadable(place: str) -> None:
        log.error("ledger.unreadable", place=place)

    return await Ledger.open(state_dir / LEDGER_NAME, mark_of(state_dir), unreadable)


async def _recover(ledger: Ledger, personas: Personas, inbox: Inbox, register: ChannelRegister) -> None:
    """Take up what the last daemon left: sends in hand, channels half changed, messages that wait."""
    await ledger.reopen_sending()
    await ledger.settle_calls(None)
    await register.reconcile()
    for persona in personas.all():
        await inbox.load(persona.id)


def _supervisor(
    settings: Settings,
    personas: Personas,
    said: Conversations,
    places: Channels,
    due: Due,
    questions: ReminderQuestions,
    costs: Costs,
    spawner: Spawner,
    context: ProcessContext,
    organ_host: OrganHost,
    tasks: Tasks,
    persona_tasks: PersonaTasks,
    log: Log,
) -> Supervisor:
    limits, clock = settings.supervisor, context.clock
    prober = Prober(
        context, mind_limits(settings), provider_urls(settings), limits.hang_after, costs, tasks, clock, log
    )
    briefing = Briefing(settings, personas, said.inbox, said.terms, places.gateways, costs)
    inbox, unkept = said.inbox, said.unkept
    dispatch = Dispatch(
        personas,
        inbox,
        unkept,
        said.consolidation,
        places.intake,
        places.states,
        said.delivery,
        organ_host,
        said.recaller,
        persona_tasks,
        questions,
        costs,
    )
    clients: list[WorkerClient] = [costs, said.consolidation, said.delivery, places.webhook_queue, unkept, due]

    def new_keeper(persona_id: str) -> Keeper:
        own = persona_tasks.of(persona_id)
        lifecycle = PersonaLifecycle(
            persona_id,
            context,
            limits,
            briefing,
            dispatch,
            said.inbox,
            clients,
            places.states,
            personas,
            said.hubs,
            own,
            log,
        )
        return Keeper(lifecycle, limits, own, tasks, clock, log.bind(persona=persona_id))

    return Supervisor(
        personas,
        said.hubs,
        said.inbox,
        said.consolidation,
        places.states,
        spawner,
        organ_host,
        prober,
        new_keeper,
        persona_tasks,
        log,
    )
