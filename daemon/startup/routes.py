"""Makes the groups of routes: each takes what it uses."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

from daemon.api.app import RouteGroup
from daemon.api.channels import ChannelRoutes
from daemon.api.config import ConfigRoutes
from daemon.api.export import ArchiveRoutes
from daemon.api.feed import FeedRoutes
from daemon.api.health import HealthRoutes
from daemon.api.history import HistoryRoutes
from daemon.api.hush import HushRoutes
from daemon.api.instructions import InstructionRoutes
from daemon.api.knowledge import KnowledgeRoutes
from daemon.api.lifecycle import LifecycleRoutes
from daemon.api.logs import LogRoutes
from daemon.api.memory import MemoryRoutes
from daemon.api.metrics import MetricsRoutes
from daemon.api.openai.completions import CompletionRoutes, Completions
from daemon.api.openai.files import Files
from daemon.api.openai.models import ModelRoutes, Models
from daemon.api.openapi import OpenApiRoutes
from daemon.api.perception import PerceptionRoutes
from daemon.api.personas import PersonaRoutes
from daemon.api.reminders import ReminderRoutes
from daemon.api.retry import RetryRoutes
from daemon.api.sockets import SocketRoutes
from daemon.api.streams import FormReader
from daemon.api.uploads import UploadRoutes
from daemon.api.usage import UsageRoutes
from daemon.api.v1.channels import OpenChannelRoutes
from daemon.api.v1.choices import Choices
from daemon.api.v1.conversations import ConversationRoutes
from daemon.api.v1.idempotency import Keys
from daemon.api.v1.objects import webhooks_address
from daemon.archives.restore import Restorer
from daemon.channels.erasure import Erasure
from daemon.channels.register import ChannelRegister
from daemon.channels.service import ChannelService
from daemon.conversations.asking import Asking
from daemon.conversations.consolidation import Consolidation
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox
from daemon.conversations.requests import Requests
from daemon.conversations.unkept import Unkept
from daemon.costs.costs import Costs
from daemon.feeding.feeds import Feeds
from daemon.ledger import Ledger
from daemon.logging.log import Log
from daemon.personas.edit_watch import EditWatch
from daemon.personas.instructions import Instructions
from daemon.personas.media import Uploads
from daemon.personas.memories import Memories
from daemon.personas.personas import Personas
from daemon.reminders.service import Reminders
from daemon.runtime.clock import Clock
from daemon.runtime.kept_clock import KeptClock
from daemon.runtime.tasks import PersonaTasks, Tasks
from daemon.settings.accounts import Accounts, ReadAccount
from daemon.settings.settings import Settings
from daemon.supervision.commands import Commands
from daemon.supervision.supervisor import Supervisor
from proto.records import Organ


def api_routes(
    *,
    settings: Settings,
    personas: Personas,
    memories: Memories,
    instructions: Instructions,
    edits: EditWatch,
    supervisor: Supervisor,
    ledger: Ledger,
    hubs: Hubs,
    inbox: Inbox,
    consolidation: Consolidation,
    register: ChannelRegister,
    commands: Commands,
    channels: ChannelService,
    feeds: Feeds,
    reminders: Reminders,
    costs: Costs,
    uploads: Uploads,
    accounts: Accounts,
    request_counts: Counter[tuple[str, str, int]],
    webhook_counts: Counter[tuple[str, int]],
    tasks: Tasks,
    started_at: float,
    clock: KeptClock,
    stopping: asyncio.Event,
    log: Log,
) -> list[RouteGroup]:
    """The persona API's routes in the order in which they are searched: what is used most comes first."""
    limits = settings.limits
    forms = FormReader(uploads=uploads, tasks=tasks, stopping=stopping, shutdown_timeout=settings.http.shutdown_timeout)
    return [
        PerceptionRoutes(supervisor=supervisor, hubs=hubs, inbox=inbox, message_chars=limits.message_chars),
        UploadRoutes(
            supervisor=supervisor,
            hubs=hubs,
            inbox=inbox,
            personas=personas,
            uploads=uploads,
            forms=forms,
            limits=limits,
            log=log,
        ),
        FeedRoutes(
            personas=personas,
            supervisor=supervisor,
            feeds=feeds,
            uploads=uploads,
            forms=forms,
            tasks=tasks,
            max_bytes=limits.feed,
            log=log,
        ),
        PersonaRoutes(
            personas=personas,
            supervisor=supervisor,
            ledger=ledger,
            hubs=hubs,
            register=register,
            channels=channels,
            costs=costs,
            max_personas=limits.personas,
        ),
        ConfigRoutes(providers=settings.providers),
        ArchiveRoutes(
            personas=personas,
            supervisor=supervisor,
            memories=memories,
            ledger=ledger,
            restorer=Restorer(
                personas=personas,
                instructions=instructions,
                ledger=ledger,
                channels=channels,
                identify=supervisor.identify,
                clock=clock,
                log=log,
            ),
            hubs=hubs,
            uploads=uploads,
            forms=forms,
            limits=limits,
            state_dir=settings.state_dir,
            clock=clock,
            log=log,
        ),
        LifecycleRoutes(
            personas=personas,
            supervisor=supervisor,
            commands=commands,
            consolidation=consolidation,
            hubs=hubs,
            log=log,
        ),
        HushRoutes(personas=personas, supervisor=supervisor, inbox=inbox),
        RetryRoutes(personas=personas, ledger=ledger, inbox=inbox),
        ChannelRoutes(personas=personas, channels=channels),
        HistoryRoutes(personas=personas, ledger=ledger),
        ReminderRoutes(personas=personas, reminders=reminders, ledger=ledger, clock=clock),
        KnowledgeRoutes(personas=personas, instructions=instructions, log=log),
        MemoryRoutes(personas=personas, memories=memories, ledger=ledger),
        InstructionRoutes(personas=personas, instructions=instructions),
        UsageRoutes(personas=personas, ledger=ledger, costs=costs, register=register, clock=clock),
        HealthRoutes(
            personas=personas,
            instructions=instructions,
            edits=edits,
            supervisor=supervisor,
            costs=costs,
            ledger=ledger,
            hubs=hubs,
            accounts=accounts,
            state_dir=settings.state_dir,
            tasks=tasks,
            started_at=started_at,
            clock=clock,
            stopping=stopping,
        ),
        LogRoutes(tail=log.tail),
        MetricsRoutes(
            personas=personas,
            supervisor=supervisor,
            ledger=ledger,
            inbox=inbox,
            costs=costs,
            hubs=hubs,
            request_counts=request_counts,
            webhook_counts=webhook_counts,
            started_at=started_at,
            clock=clock,
        ),
        OpenApiRoutes(),
        SocketRoutes(personas=personas, hubs=hubs),
    ]


def v1_routes(
    *,
    settings: Settings,
    personas: Personas,
    ledger: Ledger,
    channels: ChannelService,
    inbox: Inbox,
    erasure: Erasure,
    accounts: Mapping[str, ReadAccount],
    models: Mapping[str, Organ],
    clock: Clock,
    log: Log,
) -> list[RouteGroup]:
    """The routes under ``/v1``."""
    choices = Choices(
        personas=personas,
        accounts=accounts,
        models=models,
        default_persona=settings.channels.default_persona,
    )
    return [
        OpenChannelRoutes(
            ledger=ledger,
            personas=personas,
            channels=channels,
            choices=choices,
            clock=clock,
            keys=Keys(ledger=ledger, clock=clock, log=log),
            minds_down=inbox.minds_down,
            organization_id=settings.v1.organization_id,
            webhooks_url=webhooks_address(settings.hooks),
        ),
        ConversationRoutes(ledger=ledger, erasure=erasure, clock=clock),
    ]


def openai_routes(
    *,
    settings: Settings,
    personas: Personas,
    supervisor: Supervisor,
    ledger: Ledger,
    inbox: Inbox,
    unkept: Unkept,
    requests: Requests,
    persona_tasks: PersonaTasks,
    uploads: Uploads,
    tasks: Tasks,
    stopping: asyncio.Event,
    clock: Clock,
    log: Log,
) -> list[RouteGroup]:
    """The routes of OpenAI's API."""
    models = Models(personas, supervisor)
    completions = Completions(
        models=models,
        supervisor=supervisor,
        asking=Asking(inbox, ledger, persona_tasks, clock),
        unkept=unkept,
        requests=requests,
        ledger=ledger,
        files=Files(personas, uploads, settings.limits.upload, log),
        limits=settings.limits,
        timeout=settings.v1.completion_timeout,
        tasks=tasks,
        stopping=stopping,
        clock=clock,
        log=log,
    )
    return [CompletionRoutes(completions), ModelRoutes(models)]
