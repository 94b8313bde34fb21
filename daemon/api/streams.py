"""Bodies that are taken apart while they come, and clients that hang up while they wait."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from daemon.api.forms import Form
from daemon.startup.daemon import Daemon


async def receive(request: Request, daemon: Daemon, form: Form, seconds: float) -> None:
    """Read a form to its end; a daemon that stops gives it half of the time that requests get. Raises TimeoutError.

    Raises also what ``Form`` raises.
    """
    async with asyncio.timeout(seconds) as deadline:
        hurrying = asyncio.create_task(_hurry(daemon, deadline))
        try:
            async for piece in request.stream():
                if piece:
                    await daemon.uploads.run(form.feed, piece)
        finally:
            hurrying.cancel()
    form.finish()


async def hung_up(request: Request) -> None:
    """Wait until the client of a request whose body was read is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        continue


async def _hurry(daemon: Daemon, deadline: asyncio.Timeout) -> None:
    await daemon.stopping.wait()
    deadline.reschedule(asyncio.get_running_loop().time() + daemon.settings.http.shutdown_timeout / 2)
