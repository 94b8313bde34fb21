"""Faults of the daemon itself: callbacks and threads that raise, and a way out that ends for certain."""

from __future__ import annotations

import asyncio
import os
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from daemon.logging.log import Log
from daemon.runtime.tasks import Tasks
from proto import exits

CONNECTIONS: Final = ("uvicorn.", "websockets.", "daemon.http.protocols", "daemon.http.websocket_protocol")
"""Modules that serve one connection each."""


# Any: asyncio's own type of the context.
def callback_failed(tasks: Tasks, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The loop's exception handler: a callback that raises belongs to the daemon, unless a peer can make it raise.

    What fails in serving one connection ends that connection, and is logged. A task whose exception nobody took
    reaches this too, when it is collected; ours all have owners, so it is a library's.
    (https://docs.python.org/3/library/asyncio-eventloop.html#error-handling-api)
    """
    error = context.get("exception")
    if isinstance(error, Exception) and "handle" in context and not _in_connection(error):
        tasks.failed(error)
    else:
        loop.default_exception_handler(context)


@contextmanager
def threads_watched(tasks: Tasks, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """A thread that ends with an exception is a fault: nobody would do its work any more.

    The previous hook has logged it with the thread's name
    (https://docs.python.org/3/library/threading.html#threading.excepthook).
    """
    logged = threading.excepthook

    def failed(args: threading.ExceptHookArgs) -> None:
        logged(args)
        error = args.exc_value if isinstance(args.exc_value, Exception) else RuntimeError(repr(args.exc_value))
        with suppress(RuntimeError):  # The loop is closed, and with it the daemon.
            loop.call_soon_threadsafe(tasks.failed, error)

    threading.excepthook = failed
    try:
        yield
    finally:
        threading.excepthook = logged


def leave_within(seconds: float, log: Log) -> None:
    """End the process with the code of a fault, should it still be there after so many seconds.

    What is not sound need not leave in order: its processes follow it by the death pipe, and the ledger is whole.
    """

    def end() -> None:
        log.flush()
        os._exit(exits.FAULT)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _in_connection(error: Exception) -> bool:
    """Whether it was raised in the code of one HTTP or WebSocket connection."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(str(frame.f_globals.get("__name__", "")).startswith(CONNECTIONS) for frame in frames)
