"""The daemon's life: claim what is ours, put the parts together, listen, bring everyone up, and leave in order."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn
import uvloop
from uvicorn.config import Config

from daemon import webhooks
from daemon.api.app import build
from daemon.archives.restore import RESTORE_FOLDER
from daemon.channels.bot_commands import BotCommands
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
from daemon.feeding.feeds import Feeds, settle_digests
from daemon.http.listening import PortInUse
from daemon.http.protocols import HttpProtocol, WebSocketProtocol
from daemon.http.tokens import TokenError
from daemon.ledger import Ledger, LedgerError
from daemon.logging.log import Log, configure
from daemon.personas.media import Uploads, remove_leftovers
from daemon.personas.personas import Personas
from daemon.personas.spool import clear
from daemon.runtime.clock import SystemClock
from daemon.settings import version
from daemon.settings.accounts import read_accounts, read_models
from daemon.settings.settings import Settings, SettingsError
from daemon.startup import resources
from daemon.startup.assemble import route_groups
from daemon.startup.daemon import Daemon
from daemon.startup.first_persona import first_persona
from daemon.startup.notify import Notifier
from daemon.supervision.dispatch import Parts
from daemon.supervision.link import Link
from daemon.supervision.organ_host import OrganHost
from daemon.supervision.processes import become_subreaper, forbid_new_code
from daemon.supervision.spawner import Spawner
from daemon.supervision.supervisor import Supervisor
from proto import exits

LEDGER_NAME: Final = "ledger.db"
PERSONAS_NAME: Final = "personas"
DECISION_TIMEOUT: Final = 60.0
WATCH_RETRY: Final = 30.0
PRUNE_EVERY: Final = 24 * 3600.0
DAY: Final = 24 * 3600 * 1_000_000_000
"""In nanoseconds, as the ledger counts."""
MAX_SOCKET_MESSAGE: Final = 65_536
SWITCH_INTERVAL: Final = 5e-5
"""Seconds that a thread may keep the interpreter while another wants it. The ledger's writer needs it for moments
between two system calls; at Python's default of 5 ms a busy loop would let every commit wait for it."""
HEARTBEATS_TO_HANG: Final = 3


def run(settings: Settings, create_first: str | None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code (proto.exits). Errors are one clear line each."""
    os.umask(0o077)
    try:
        resources.private_directory(settings.state_dir)
        resources.private_directory(settings.runtime_dir)
        resources.lock(settings.state_dir)
        listening = resources.listener(settings)
        called = webhooks.listener(settings.hooks)
    except resources.Locked as error:
        return _refuse(error, exits.LOCKED)
    except PortInUse as error:
        return _refuse(error, exits.PORT_IN_USE)
    except resources.DirectoryUnusable as error:
        return _refuse(error, exits.CONFIG)
    log = configure(settings.logs, sys.stderr)
    resources.raise_descriptor_limit()
    sys.setswitchinterval(SWITCH_INTERVAL)
    become_subreaper()
    forbid_new_code()
    try:
        uvloop.run(_serve(settings, log, listening, called, create_first))
    except (LedgerError, TokenError, SettingsError) as error:
        log.flush()
        return _refuse(error, exits.CONFIG)
    return exits.OK


def _refuse(error: Exception, code: int) -> int:
    print(f"personad: {error}", file=sys.stderr)
    return code


async def _serve(
    settings: Settings, log: Log, listening: socket.socket, called: socket.socket | None, create_first: str | None
) -> None:
    daemon = await _assemble(settings, log)
    request_counts: Counter[tuple[str, str, int]] = Counter()
    server = Server(
        Config(
            build(route_groups(daemon, request_counts), daemon, request_counts),
            lifespan="off",
            http=HttpProtocol,
            ws=WebSocketProtocol,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws_max_size=MAX_SOCKET_MESSAGE,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=max(1, round(settings.http.shutdown_timeout)),
        )
    )
    notifier = Notifier(os.environ)
    _stop_on_signals(daemon.stopping)
    serving = asyncio.create_task(server.serve([listening]))
    await asyncio.wait([serving, asyncio.create_task(server.listens.wait())], return_when="FIRST_COMPLETED")
    address = listening.getsockname()
    log.info("daemon.listening", address=f"http://{_authority(address)}", pid=os.getpid(), version=version.described())
    webhook_listener = _take_webhooks(daemon, called) if called else None
    daemon.supervisor.boot()
    background = [
        asyncio.create_task(_watch_personas(daemon)),
        asyncio.create_task(_prune(daemon)),
        asyncio.create_task(notifier.watch()),
        asyncio.create_task(_come_up(daemon, notifier, create_first, _authority(address))),
    ]
    await asyncio.wait([serving, asyncio.create_task(daemon.stopping.wait())], return_when="FIRST_COMPLETED")
    notifier.stopping()
    log.info("daemon.stopping")
    daemon.stopping.set()
    daemon.tail.close()
    for task in background:
        task.cancel()
    await _leave(daemon, server, serving, webhook_listener)
    notifier.close()


async def _assemble(settings: Settings, log: Log) -> Daemon:
    """Everything but the processes and the listener."""
    clock = SystemClock()
    accounts, models = read_accounts(settings), read_models(settings)
    ledger = await Ledger.open(settings.state_dir / LEDGER_NAME)
    personas = Personas(settings.state_dir / PERSONAS_NAME, log)
    await personas.load()
    for persona_id in await personas.graves():
        await ledger.forget(persona_id)
        await personas.bury(persona_id)
    await remove_leftovers(settings.state_dir / PERSONAS_NAME, ledger, log)
    await asyncio.to_thread(_clear, settings.state_dir)
    await settle_digests(ledger, personas, log)
    hubs = Hubs(ledger, settings.limits, await ledger.last_seq())
    publisher, terms = Publisher(ledger, hubs, personas, clock, log), ChannelTerms(ledger, models, clock, log)
    inbox = Inbox(settings, ledger, personas, terms, publisher, clock, log)
    consolidation = Consolidation(ledger, personas, settings.mind.total_timeout, clock, log)
    inbox.touched = consolidation.touched
    delivery = Delivery(ledger, personas, hubs, clock, log)
    publisher.said = delivery.refresh
    webhook_queue = WebhookQueue(ledger, settings.supervisor.poison_deaths, clock, log)
    owner_intake = OwnerIntake(ledger, personas, inbox, hubs, clock)
    visitor_intake = VisitorIntake(settings.channels, ledger, personas, inbox, publisher, webhook_queue, clock)
    webhooks_url = settings.hooks.public_url.rstrip("/") if settings.hooks.port else ""
    channels = Channels(
        ledger, personas, inbox, terms, owner_intake, visitor_intake, accounts, webhooks_url, hubs, clock, log
    )
    await ledger.unsettle()
    for persona in personas.all():
        await channels.settle(persona)
        await channels.recover(persona)
        await terms.load(persona.id)
        await inbox.load(persona.id)
    link = Link(settings.runtime_dir, log)
    heartbeat = settings.supervisor.hang_after / HEARTBEATS_TO_HANG
    spawner = Spawner(link.endpoint, heartbeat, settings.logs.worker_line, log)
    organ_host = OrganHost(settings.organs, ledger, spawner, link, log)
    parts = Parts(
        settings,
        personas,
        hubs,
        inbox,
        terms,
        consolidation,
        channels,
        webhook_queue,
        delivery,
        link,
        spawner,
        organ_host,
        log,
    )
    supervisor = Supervisor(parts)
    owner_intake.command = BotCommands(supervisor, personas, publisher, delivery, log).obey
    stopping = asyncio.Event()
    return Daemon(
        settings=settings,
        log=log,
        tail=log.tail,
        ledger=ledger,
        hubs=hubs,
        personas=personas,
        supervisor=supervisor,
        inbox=inbox,
        consolidation=consolidation,
        channels=channels,
        delivery=delivery,
        terms=terms,
        webhook_queue=webhook_queue,
        webhook_requests=Counter(),
        pairing=Pairing(ledger, personas, inbox, publisher, hubs, supervisor.send, log),
        link=link,
        uploads=Uploads(settings.limits.uploads_at_once),
        accounts=accounts,
        models=models,
        feeds=Feeds(parts, ledger, supervisor, stopping),
        started_at=time.monotonic(),
        stopping=stopping,
    )


def _clear(state_dir: Path) -> None:
    """Remove exports and archives whose request a crash cut short."""
    clear((state_dir / PERSONAS_NAME).glob(f"*/{FEEDS_NAME}"))
    clear(state_dir.glob(f"{RESTORE_FOLDER}*"))


async def _come_up(daemon: Daemon, notifier: Notifier, create_first: str | None, authority: str) -> None:
    """Wait until everyone's state is decided, and say so."""
    await daemon.supervisor.decided(DECISION_TIMEOUT)
    if create_first:
        await first_persona(daemon.personas, daemon.supervisor, daemon.log, create_first, authority)
    # What lives now mostly lives as long as the daemon: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    personas = daemon.personas.all()
    running = sum(daemon.supervisor.running(persona.id) for persona in personas)
    notifier.ready(f"{running} of {len(personas)} personas running")
    daemon.log.info("daemon.ready", personas=len(personas), running=running)


async def _watch_personas(daemon: Daemon) -> None:
    """Follow edits by hand; when the kernel gives no watch, say so and try again."""
    while True:
        try:
            await daemon.personas.watch(daemon.supervisor.edited)
        except (OSError, RuntimeError) as error:
            daemon.log.error("personas.watch_failed", reason=str(error))
        await asyncio.sleep(WATCH_RETRY)


async def _prune(daemon: Daemon) -> None:
    """Once a day, let go of what was kept for repetitions and replays."""
    while True:
        try:
            await daemon.ledger.prune(time.time_ns() - daemon.settings.limits.replay_days * DAY)
            await daemon.ledger.prune_channels(time.time_ns())
        except LedgerError as error:
            daemon.log.error("ledger.prune_failed", reason=str(error))
        await asyncio.sleep(PRUNE_EVERY)


def _take_webhooks(daemon: Daemon, called: socket.socket) -> webhooks.WebhookListener:
    """Let providers call: their channels are known already."""
    channels = webhooks.WebhookChannels(daemon.ledger, daemon.terms, daemon.accounts)
    app = webhooks.WebhookApp(
        channels.find, daemon.webhook_queue, daemon.settings.hooks.public_url, daemon.webhook_requests, daemon.log
    )
    listener = webhooks.WebhookListener(app, called)
    daemon.log.info("hooks.listening", address=f"http://{_authority(called.getsockname())}")
    return listener


async def _leave(
    daemon: Daemon, server: Server, serving: asyncio.Task[None], webhook_listener: webhooks.WebhookListener | None
) -> None:
    """Close sockets and listeners first, then the processes, then the ledger, which needs nothing after it."""
    server.should_exit = True
    await daemon.hubs.close()
    await asyncio.wait([serving])
    if webhook_listener:
        await webhook_listener.close()
    await daemon.feeds.close()
    daemon.uploads.close()
    await daemon.supervisor.close()
    await daemon.channels.close()
    await daemon.webhook_queue.close()
    await daemon.delivery.close()
    await daemon.consolidation.close()
    await daemon.inbox.close()
    daemon.link.close()
    await daemon.ledger.close()
    daemon.log.info("daemon.stopped")


class Server(uvicorn.Server):
    """Uvicorn's server, which tells when it listens and leaves the signals to the daemon."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _stop_on_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stopping.set)


def _authority(address: tuple[str, int]) -> str:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{host}:{address[1]}"
