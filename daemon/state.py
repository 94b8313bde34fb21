"""What the routes work with: the daemon's parts, put together by ``daemon/serve.py``."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from daemon.accounts import ReadAccount
from daemon.channels import Channels
from daemon.consolidation import Consolidation
from daemon.delivery import Delivery
from daemon.feeds import Feeds
from daemon.hook_feed import HookFeed
from daemon.hubs import Hubs
from daemon.inbox import Inbox
from daemon.ledger import Ledger
from daemon.link import Link
from daemon.logs import Log, Tail
from daemon.media import Uploads
from daemon.open_talks import OpenTalks
from daemon.pair import Pairing
from daemon.personas import Personas
from daemon.settings import Settings
from daemon.supervisor import Supervisor
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
    channels: Channels
    talks: OpenTalks
    hook_feed: HookFeed
    hook_requests: Counter[tuple[str, int]]
    delivery: Delivery
    pairing: Pairing
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
