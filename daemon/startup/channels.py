"""Makes the parts that know the channels."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from daemon.channels.bot_commands import BotCommand
from daemon.channels.gateways import ChannelGateways
from daemon.channels.intake import ChannelIntake
from daemon.channels.owner_intake import OwnerIntake
from daemon.channels.pairing import Pairing
from daemon.channels.register import ChannelRegister
from daemon.channels.service import ChannelService
from daemon.channels.states import GatewayStates
from daemon.channels.visitor_intake import VisitorIntake
from daemon.channels.webhook_queue import WebhookQueue
from daemon.ledger import Ledger
from daemon.logging.log import Log
from daemon.personas.personas import Personas
from daemon.runtime.clock import Clock
from daemon.runtime.tasks import PersonaTasks
from daemon.settings import version
from daemon.settings.accounts import ReadAccount
from daemon.settings.settings import Settings
from daemon.startup.conversations import Conversations
from daemon.supervision.supervisor import Supervisor


class Channels(NamedTuple):
    """Where it is said."""

    webhook_queue: WebhookQueue
    commands: asyncio.Queue[BotCommand]
    register: ChannelRegister
    gateways: ChannelGateways
    intake: ChannelIntake
    states: GatewayStates


def make_channels(
    settings: Settings,
    ledger: Ledger,
    personas: Personas,
    said: Conversations,
    accounts: Mapping[str, ReadAccount],
    tasks: PersonaTasks,
    clock: Clock,
    log: Log,
) -> Channels:
    """Make them from the ground up."""
    hubs, publisher, terms, inbox, *_ = said
    commands: asyncio.Queue[BotCommand] = asyncio.Queue()
    webhook_queue = WebhookQueue(ledger, settings.supervisor.poison_deaths, tasks, clock, log, version.described())
    owner_intake = OwnerIntake(ledger, personas, inbox, hubs, commands, clock)
    visitor_intake = VisitorIntake(settings.channels, ledger, personas, inbox, publisher, webhook_queue, clock)
    register = ChannelRegister(ledger, personas, terms, inbox, owner_intake, clock, log)
    webhooks_url = settings.hooks.public_url.rstrip("/") if settings.hooks.port else ""
    gateways = ChannelGateways(register, ledger, personas, accounts, webhooks_url, clock, log)
    states = GatewayStates(ledger, personas, terms, hubs, tasks, clock, log)
    intake = ChannelIntake(ledger, personas, terms, owner_intake, visitor_intake, webhook_queue, tasks, log)
    return Channels(webhook_queue, commands, register, gateways, intake, states)


def make_channel_service(
    ledger: Ledger,
    personas: Personas,
    said: Conversations,
    places: Channels,
    supervisor: Supervisor,
    accounts: Mapping[str, ReadAccount],
    tasks: PersonaTasks,
    clock: Clock,
    log: Log,
) -> ChannelService:
    """Make the service that both doors call."""
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
    return ChannelService(
        register=places.register,
        pairing=pairing,
        ledger=ledger,
        personas=personas,
        processes=supervisor,
        accounts=accounts,
        hubs=said.hubs,
        tasks=tasks,
        clock=clock,
        log=log,
    )
