"""What the routes work with: the daemon's parts, put together by ``daemon/startup/serve.py``."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from daemon.channels.intake import ChannelIntake
from daemon.channels.register import ChannelRegister
from daemon.channels.service import ChannelService
from daemon.channels.states import GatewayStates
from daemon.channels.webhook_queue import WebhookQueue
from daemon.conversations.consolidation import Consolidation
from daemon.conversations.delivery import Delivery
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox
from daemon.conversations.terms import ChannelTerms
from daemon.feeding.feeds import Feeds
from daemon.ledger import Ledger
from daemon.logging.log import Log, Tail
from daemon.personas.media import Uploads
from daemon.personas.personas import Personas
from daemon.settings.accounts import ReadAccount
from daemon.settings.settings import Settings
from daemon.supervision.link import Link
from daemon.supervision.supervisor import Supervisor
from proto.records import Organ


@dataclass(slots=True)
class Daemon:
    """One of each; ``started_at`` is monotonic seconds, ``stopping`` is set when the daemon begins to leave.

    ``hook_requests`` counts webhook requests by provider and status.
    """

    settings: Settings
    log: Log
    tail: Tail
    ledger: Ledger
    hubs: Hubs
    personas: Personas
    supervisor: Supervisor
    inbox: Inbox
    consolidation: Consolidation
    channels: ChannelService
    register: ChannelRegister
    intake: ChannelIntake
    states: GatewayStates
    terms: ChannelTerms
    webhook_queue: WebhookQueue
    webhook_requests: Counter[tuple[str, int]]
    delivery: Delivery
    link: Link
    uploads: Uploads
    accounts: dict[str, ReadAccount]
    models: dict[str, Organ]
    feeds: Feeds
    started_at: float
    stopping: asyncio.Event


def daemon_of(connection: HTTPConnection) -> Daemon:
    """Return the daemon that a request or socket came to."""
    daemon: Daemon = connection.app.state.daemon
    return daemon
