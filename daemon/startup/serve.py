"""The daemon's life: claim its resources, make the parts, listen, bring the personas up, and leave in order."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Final, Literal

import uvicorn
import uvloop
from msgspec.structs import asdict
from starlette.types import ASGIApp
from uvicorn.config import Config

from daemon import webhooks
from daemon.http.listening import PortInUse
from daemon.http.protocols import HttpProtocol
from daemon.http.tokens import TokenError
from daemon.http.websocket_protocol import WebSocketProtocol
from daemon.ledger import LedgerBusy, LedgerDamaged, LedgerError, LedgerFull, LedgerLost
from daemon.ledger.errors import may_pass
from daemon.ledger.known import LEDGER_NAME, require_known
from daemon.logging.log import Log, configure
from daemon.personas.personas import Personas
from daemon.recall.indexing import index
from daemon.runtime.clock import SystemClock
from daemon.runtime.tasks import END_TIMEOUT, Tasks, daemon_tasks
from daemon.settings import version
from daemon.settings.settings import Settings, SettingsError
from daemon.startup import resources
from daemon.startup.assemble import assemble
from daemon.startup.chores import follow_accounts, forget_visitors, prune
from daemon.startup.faults import callback_failed, leave_within, threads_watched
from daemon.startup.first_persona import first_persona
from daemon.startup.notify import Notifier
from daemon.supervision.processes import become_subreaper, forbid_new_code, hide_memory
from daemon.supervision.supervisor import Supervisor
from proto import exits

DECISION_TIMEOUT: Final = 60.0
MARGIN: Final = 10.0
"""Seconds that a daemon with a fault gets to leave, beyond what requests and processes get."""
MAX_SOCKET_MESSAGE: Final = 65_536
SWITCH_INTERVAL: Final = 5e-5
"""Seconds that a thread may keep the interpreter while another wants it. The ledger's writer needs it for moments
between two system calls; at Python's default of 5 ms a busy loop would let every commit wait for it."""


def run(settings: Settings, create_first: str | None, *, accept_loss: bool) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code (proto.exits). Errors are one clear line each.

    ``accept_loss`` goes on with a ledger that is not the one that the personas know.
    """
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
        return _refuse(error, exits.NOT_NOW if error.passes else exits.CONFIG)
    log = configure(settings.logs, sys.stderr)
    resources.raise_descriptor_limit()
    sys.setswitchinterval(SWITCH_INTERVAL)
    become_subreaper()
    forbid_new_code()
    hide_memory()
    try:
        if accepted := require_known(settings.state_dir, accept_loss=accept_loss):
            log.warning("ledger.loss_accepted", file=str(settings.state_dir / LEDGER_NAME), **asdict(accepted))
        return uvloop.run(_serve(settings, log, listening, called, create_first))
    except (LedgerError, TokenError, SettingsError) as error:
        log.flush()
        return _refuse(error, code_of(error))
    except OSError as error:
        if not may_pass(error):
            raise
        log.flush()
        return _refuse(error, exits.NOT_NOW)
    finally:
        resources.leave(settings.runtime_dir)


def code_of(error: LedgerError | TokenError | SettingsError) -> int:
    """The exit code for what keeps the daemon from starting: tried again only if it may pass by itself."""
    match error:
        case LedgerFull() | LedgerBusy():
            return exits.NOT_NOW
        case LedgerLost() | LedgerDamaged():
            return exits.DATA
        case _:
            return exits.CONFIG


def _refuse(error: Exception, code: int) -> int:
    print(f"personad: {error}", file=sys.stderr)
    return code


async def _serve(
    settings: Settings, log: Log, listening: socket.socket, called: socket.socket | None, create_first: str | None
) -> int:
    """Serve until asked to stop, or until a task of the daemon itself fails; returns the exit code."""
    clock, stopping = SystemClock(), asyncio.Event()
    tasks = daemon_tasks(clock, log)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(partial(callback_failed, tasks))
    async with AsyncExitStack() as stack:
        stack.enter_context(threads_watched(tasks, loop))
        parts = await assemble(settings, stopping, tasks, clock, log, stack)
        server = Server(_config(parts.api, settings))
        notifier = Notifier(os.environ)
        stack.callback(notifier.close)
        _stop_on_signals(stopping)
        serving = tasks.start(server.serve([listening]))
        begun: list[asyncio.Task[None] | asyncio.Future[None]] = [serving, server.listens]
        await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
        authority = _authority(listening.getsockname())
        log.info("daemon.listening", address=f"http://{authority}", pid=os.getpid(), version=version.described())
        webhook_listener = _take_webhooks(parts.webhooks, called, tasks, log) if called else None
        parts.supervisor.boot()
        background = tasks.child()
        background.start(follow_accounts(parts.accounts, parts.channels.accounts_changed, clock, log))
        background.start(parts.edits.run())
        background.start(prune(parts.ledger, settings.limits.replay_days, parts.clock, log))
        background.start(forget_visitors(parts.erasure, settings.channels.retention_days, parts.clock, log))
        background.start(index(parts.ledger, parts.personas, parts.clock, log))
        background.start(parts.meaning.fill())
        background.start(notifier.watch())
        background.start(parts.commands.run())
        background.start(parts.due.run())
        background.start(_come_up(parts.personas, parts.supervisor, notifier, create_first, authority, log))
        asked = background.start(stopping.wait())
        ends: list[asyncio.Task[None] | asyncio.Task[Literal[True]] | asyncio.Future[Exception]]
        ends = [serving, asked, tasks.fault]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if tasks.fault.done():
            leave_within(settings.http.shutdown_timeout + settings.supervisor.stop_timeout + MARGIN, log)
        notifier.stopping()
        log.info("daemon.stopping")
        stopping.set()
        log.tail.close()
        # Sockets and listeners first, then the parts behind them.
        server.should_exit = True
        with tasks.contained():
            await background.close()
            await parts.hubs.close()
            await asyncio.wait([serving])
            if webhook_listener:
                await webhook_listener.close()
    # What is left are tasks that ignore their cancellation, and the loop's runner would wait for them for ever.
    leave_within(END_TIMEOUT, log)
    if tasks.fault.done():
        return exits.FAULT
    log.info("daemon.stopped")
    return exits.OK


def _config(app: ASGIApp, settings: Settings) -> Config:
    return Config(
        app,
        lifespan="off",
        http=HttpProtocol,
        ws=WebSocketProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        # X-Forwarded-For and X-Forwarded-Proto are anybody's words, unless a proxy of the operator's sent them.
        proxy_headers=bool(settings.http.trusted_proxies),
        forwarded_allow_ips=list(settings.http.trusted_proxies),
        ws_max_size=MAX_SOCKET_MESSAGE,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=max(1, round(settings.http.shutdown_timeout)),
    )


async def _come_up(
    personas: Personas, supervisor: Supervisor, notifier: Notifier, create_first: str | None, authority: str, log: Log
) -> None:
    """Wait until every persona's state is decided, and say so."""
    await supervisor.decided(DECISION_TIMEOUT)
    if create_first:
        await first_persona(personas, supervisor, log, create_first, authority)
    # Most objects that exist now stay until the daemon ends, so the collector need not look at them again.
    gc.collect()
    gc.freeze()
    everybody = personas.all()
    running = sum(supervisor.running(persona.id) for persona in everybody)
    notifier.ready(f"{running} of {len(everybody)} personas running")
    log.info("daemon.ready", personas=len(everybody), running=running)


def _take_webhooks(app: ASGIApp, called: socket.socket, tasks: Tasks, log: Log) -> webhooks.WebhookListener:
    """Let providers call: their channels are known already."""
    listener = webhooks.WebhookListener(app, called, tasks)
    log.info("hooks.listening", address=f"http://{_authority(called.getsockname())}")
    return listener


class Server(uvicorn.Server):
    """Uvicorn's server, which tells when it listens and leaves the signals to the daemon."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.listens: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set_result(None)

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
