"""The daemon's life: claim what is ours, put the parts together, listen, bring everyone up, and leave in order."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Literal

import uvicorn
import uvloop
from uvicorn.config import Config

from daemon import webhooks
from daemon.api.app import build
from daemon.http.listening import PortInUse
from daemon.http.protocols import HttpProtocol, WebSocketProtocol
from daemon.http.tokens import TokenError
from daemon.ledger import LedgerError
from daemon.logging.log import Log, configure
from daemon.runtime.clock import SystemClock
from daemon.runtime.tasks import Tasks, daemon_tasks
from daemon.settings.settings import Settings, SettingsError
from daemon.startup import resources
from daemon.startup.assemble import route_groups
from daemon.startup.daemon import Daemon
from daemon.startup.first_persona import first_persona
from daemon.startup.notify import Notifier
from daemon.startup.services import assemble
from daemon.supervision.processes import become_subreaper, forbid_new_code
from proto import exits

DECISION_TIMEOUT: Final = 60.0
WATCH_RETRY: Final = 30.0
PRUNE_EVERY: Final = 24 * 3600.0
DAY: Final = 24 * 3600 * 1_000_000_000
"""In nanoseconds, as the ledger counts."""
MAX_SOCKET_MESSAGE: Final = 65_536
SWITCH_INTERVAL: Final = 5e-5
"""Seconds that a thread may keep the interpreter while another wants it. The ledger's writer needs it for moments
between two system calls; at Python's default of 5 ms a busy loop would let every commit wait for it."""
MARGIN: Final = 10.0
"""Seconds that a daemon with a fault gets to leave, beyond what requests and processes get."""
CONNECTIONS: Final = ("uvicorn.", "websockets.", "daemon.http.protocols")
"""Modules that serve one connection each."""


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
        return uvloop.run(_serve(settings, log, listening, called, create_first))
    except (LedgerError, TokenError, SettingsError) as error:
        log.flush()
        return _refuse(error, exits.CONFIG)


def _refuse(error: Exception, code: int) -> int:
    print(f"personad: {error}", file=sys.stderr)
    return code


async def _serve(
    settings: Settings, log: Log, listening: socket.socket, called: socket.socket | None, create_first: str | None
) -> int:
    """Serve until asked to stop or until a task of the daemon's own fails; returns the exit code."""
    clock = SystemClock()
    tasks = daemon_tasks(clock, log)
    asyncio.get_running_loop().set_exception_handler(partial(_callback_failed, tasks))
    daemon = await assemble(settings, tasks, clock, log)
    server = _server(daemon)
    notifier = Notifier(os.environ)
    _stop_on_signals(daemon.stopping)
    serving = tasks.start(server.serve([listening]))
    begun: list[asyncio.Task[None] | asyncio.Future[None]] = [serving, server.listens]
    await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
    authority = _authority(listening.getsockname())
    log.info("daemon.listening", address=f"http://{authority}", pid=os.getpid())
    webhook_listener = _take_webhooks(daemon, called) if called else None
    daemon.supervisor.boot()
    background = tasks.child()
    background.start(_watch_personas(daemon))
    background.start(_prune(daemon))
    background.start(notifier.watch())
    background.start(daemon.bot_commands.run())
    background.start(_come_up(daemon, notifier, create_first, authority))
    asked = background.start(daemon.stopping.wait())
    ends: list[asyncio.Task[None] | asyncio.Task[Literal[True]] | asyncio.Future[Exception]]
    ends = [serving, asked, tasks.fault]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    notifier.stopping()
    log.info("daemon.stopping")
    daemon.stopping.set()
    daemon.tail.close()
    patience = settings.http.shutdown_timeout + settings.supervisor.stop_timeout + MARGIN
    try:
        async with asyncio.timeout(patience if tasks.fault.done() else None):
            await background.close()
            await _leave(daemon, server, serving, webhook_listener)
    except TimeoutError:
        # What is not sound need not leave in order: its processes follow it by the death pipe, the ledger is whole.
        log.flush()
        os._exit(exits.FAULT)
    notifier.close()
    return exits.FAULT if tasks.fault.done() else exits.OK


def _server(daemon: Daemon) -> Server:
    settings = daemon.settings.http
    request_counts: Counter[tuple[str, str, int]] = Counter()
    return Server(
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
            timeout_graceful_shutdown=max(1, round(settings.shutdown_timeout)),
        )
    )


# Any: asyncio's own type of the context.
def _callback_failed(tasks: Tasks, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The loop's exception handler: a callback that raises belongs to the daemon, unless a peer can make it raise.

    What fails in serving one connection ends that connection, and is logged. A task whose exception nobody took
    reaches this too, when it is collected; ours all have owners, so it is a library's.
    """
    error = context.get("exception")
    if isinstance(error, Exception) and "handle" in context and not _in_connection(error):
        tasks.failed(error)
    else:
        loop.default_exception_handler(context)


def _in_connection(error: Exception) -> bool:
    """Whether it was raised in the code of one HTTP or WebSocket connection."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(str(frame.f_globals.get("__name__", "")).startswith(CONNECTIONS) for frame in frames)


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
    listener = webhooks.WebhookListener(app, called, daemon.tasks)
    daemon.log.info("hooks.listening", address=f"http://{_authority(called.getsockname())}")
    return listener


async def _leave(
    daemon: Daemon, server: Server, serving: asyncio.Task[None], webhook_listener: webhooks.WebhookListener | None
) -> None:
    """Close sockets and listeners first, then the processes, then the ledger, which needs nothing after it.

    Every step is taken, also after one that fails: the daemon may leave because it is not sound.
    """
    server.should_exit = True
    steps: list[Callable[[], Awaitable[object]]] = [
        daemon.hubs.close,
        lambda: asyncio.wait([serving]),
        *([webhook_listener.close] if webhook_listener else []),
        daemon.feeds.close,
        daemon.supervisor.close,
        daemon.persona_tasks.close,
    ]
    for step in steps:
        with daemon.tasks.contained():
            await step()
    daemon.uploads.close()
    daemon.consolidation.close()
    daemon.link.close()
    await daemon.ledger.close()
    daemon.log.info("daemon.stopped")


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
