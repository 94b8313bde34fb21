"""Bodies that are parsed while they arrive, and clients that hang up while they wait."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

from daemon.api.forms import Form
from daemon.personas.media import Uploads
from daemon.runtime.tasks import Tasks

RETRY_AFTER: Final = {"retry-after": "5"}


class FormReader:
    """Reads forms of any size; ``shutdown_timeout`` is what requests get, in seconds, when the daemon stops."""

    def __init__(self, *, uploads: Uploads, tasks: Tasks, stopping: asyncio.Event, shutdown_timeout: float) -> None:
        self._uploads = uploads
        self._tasks = tasks
        self._stopping = stopping
        self._shutdown_timeout = shutdown_timeout

    async def read(self, request: Request, form: Form, seconds: float, what: str) -> None:
        """Read a form to its end; a daemon that stops gives it half of the time that requests get.

        Raises what ``Form`` raises, and HTTPException when it does not arrive in time: 408, or 503 when the daemon
        stops. ``what`` names the file in the answer.
        """
        try:
            async with asyncio.timeout(seconds) as deadline, self._tasks.beside(self._shorten_at_stop(deadline)):
                async for piece in request.stream():
                    if piece:
                        await self._uploads.run(form.feed, piece)
        except TimeoutError:
            if self._stopping.is_set():
                words = "The daemon is stopping: send it again when it is back."
                raise HTTPException(503, words, RETRY_AFTER) from None
            raise HTTPException(408, f"The {what} did not come in {seconds:g} seconds: send it at once.") from None
        form.finish()

    async def _shorten_at_stop(self, deadline: asyncio.Timeout) -> None:
        await self._stopping.wait()
        deadline.reschedule(asyncio.get_running_loop().time() + self._shutdown_timeout / 2)


async def hung_up(request: Request) -> None:
    """Wait until the client of a request whose body was read is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        continue
