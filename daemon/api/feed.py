"""``feed``: her chat history with another AI, to learn from (the perception seed).

It answers when all of it is digested. The body is read to its end before it is refused: 422, then 409, then 400 (see
``daemon/api/uploads.py``). A client that hangs up ends the feed after the conversation in hand; the
next feed goes on there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.api.forms import Form
from daemon.api.lookup import require_running
from daemon.api.streams import FormReader, hung_up
from daemon.feeding.feeds import FOLDER, MAX_DEATHS, BeingFed, Cause, FeedEnded, Feeds, TooManyFeeds
from daemon.http.answers import json_response
from daemon.logging.log import Log
from daemon.personas.media import TooLarge, Uploads
from daemon.personas.personas import Personas
from daemon.personas.spool import Spool
from daemon.runtime.tasks import Tasks
from daemon.supervision.supervisor import Supervisor
from proto.feeds import SOURCES, Source

TIMEOUT: Final = 3600.0
"""Seconds that an export may take to arrive."""
LONGEST_SOURCE: Final = 64

_RETRY_AFTER: Final = {"retry-after": "30"}
_AGAIN: Final = "What was finished is kept: feed her the same file again, and it goes on from there."

_ENDED: Final[dict[Cause, tuple[int, str]]] = {
    "format": (400, "Could not parse the external data. Please check the file format."),
    "mind": (400, "Could not analyze the conversations. Please make sure the model is running."),
    "budget": (409, f"No budget has room for what her mind would cost. {{reason}} {_AGAIN}"),
    "stopped": (409, f"Persona is not active. She was stopped meanwhile. {_AGAIN}"),
    "leaving": (503, f"The daemon is stopping. {_AGAIN}"),
    "disk": (507, f"What she learned could not be written: {{reason}}. {_AGAIN}"),
    "died": (500, f"The process that reads the export died {MAX_DEATHS} times in a row: {{reason}}. {_AGAIN}"),
}

_WITH_REASON: Final[frozenset[Cause]] = frozenset(("format", "mind"))
"""The seed's two texts stand alone as ``detail``; ``reason`` says what is wrong with this file or this mind."""


class FeedRoutes:
    """Her chat history with another AI."""

    def __init__(
        self,
        *,
        personas: Personas,
        supervisor: Supervisor,
        feeds: Feeds,
        uploads: Uploads,
        forms: FormReader,
        tasks: Tasks,
        max_bytes: int,
        log: Log,
    ) -> None:
        """``max_bytes`` is the most that an export may have."""
        self._personas = personas
        self._supervisor = supervisor
        self._feeds = feeds
        self._uploads = uploads
        self._forms = forms
        self._tasks = tasks
        self._max_bytes = max_bytes
        self._log = log

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/persona/{persona_id}/feed", self.feed, methods=["POST"]),
            Route("/api/persona/{persona_id}/feed/forecast", self.forecast, methods=["POST"]),
        ]

    async def feed(self, request: Request) -> Response:
        """``POST /api/persona/{persona_id}/feed``: the answer is unmasked, as the seed says."""
        return await self._claimed(request, is_forecast=False)

    async def forecast(self, request: Request) -> Response:
        """``POST /api/persona/{persona_id}/feed/forecast``: the answer is what a feed would take."""
        return await self._claimed(request, is_forecast=True)

    async def _claimed(self, request: Request, *, is_forecast: bool) -> Response:
        persona_id: str = request.path_params["persona_id"]
        with contextlib.ExitStack() as claims:
            refusal = None
            try:
                require_running(self._supervisor, persona_id)
                claims.enter_context(self._feeds.claim(persona_id))
            except BeingFed:
                refusal = HTTPException(409, "She is being fed already: wait until that feed has ended.")
            except TooManyFeeds:
                fed = self._feeds.at_once
                words = f"{fed} personas are being fed already: try again later, or raise limits.feeds_at_once."
                refusal = HTTPException(503, words, _RETRY_AFTER)
            except HTTPException as error:
                refusal = error
            return await self._feed(request, persona_id, refusal, is_forecast=is_forecast)

    async def _feed(
        self, request: Request, persona_id: str, refusal: HTTPException | None, *, is_forecast: bool
    ) -> Response:
        spool = Spool(self._personas.folder(persona_id) / FOLDER, self._max_bytes)
        form = Form(
            request.headers.get("content-type", ""),
            "history",
            spool.begin if refusal is None else lambda _: None,
            {"source": LONGEST_SOURCE},
            required={"source"},
        )
        try:
            await self._forms.read(request, form, TIMEOUT, "export")
            if refusal:
                raise refusal
            require_running(self._supervisor, persona_id)
            source = _source(form.values["source"])
            await self._uploads.run(spool.close)
            if is_forecast:
                return await self._foretold(request, persona_id, source, spool)
            if unread := await self._learn(request, persona_id, source, spool):
                return unread
        except TooLarge:
            words = (
                f"The export is over the limit of {self._max_bytes} bytes: send a smaller one, or raise limits.feed."
            )
            raise HTTPException(413, words) from None
        except OSError as error:
            # Her folder is gone if she was deleted meanwhile.
            require_running(self._supervisor, persona_id)
            raise HTTPException(507, f"Nothing was kept: the export cannot be stored ({error.strerror}).") from error
        finally:
            await self._drop(persona_id, spool)
        persona = self._personas.get(persona_id)
        if persona is None:
            raise HTTPException(409, "Persona is not active.")
        return json_response({"persona": persona})

    async def _learn(self, request: Request, persona_id: str, source: Source, spool: Spool) -> Response | None:
        """Return None, or the refusal of an export or a mind: the seed's text as ``detail``, and beside it the reason.

        Raises HTTPException when the feed ends early for another cause, ClientDisconnect when the client has hung up.
        """
        try:
            async with self._gone(request) as gone:
                await self._feeds.feed(persona_id, source, spool.path, gone)
        except FeedEnded as ended:
            return self._ended(persona_id, ended)
        return None

    async def _foretold(self, request: Request, persona_id: str, source: Source, spool: Spool) -> Response:
        """Return the forecast, or the refusal as ``_learn`` does."""
        try:
            async with self._gone(request) as gone:
                return json_response(await self._feeds.forecast(persona_id, source, spool.path, gone))
        except FeedEnded as ended:
            return self._ended(persona_id, ended)

    @contextlib.asynccontextmanager
    async def _gone(self, request: Request) -> AsyncIterator[asyncio.Event]:
        """An event that is set when the client hangs up."""
        gone = asyncio.Event()
        async with self._tasks.beside(hung_up(request)) as waiting:
            waiting.add_done_callback(lambda _: gone.set())
            yield gone

    def _ended(self, persona_id: str, ended: FeedEnded) -> Response:
        self._log.warning("feed.ended", persona=persona_id, cause=ended.cause, reason=str(ended))
        if ended.cause == "hung_up":
            raise ClientDisconnect from ended
        status, words = _ENDED[ended.cause]
        if ended.cause in _WITH_REASON:
            return json_response({"detail": words, "reason": str(ended)}, status)
        headers = _RETRY_AFTER if status == 503 else None
        raise HTTPException(status, words.format(reason=ended), headers) from ended

    async def _drop(self, persona_id: str, spool: Spool) -> None:
        try:
            await self._uploads.run(spool.drop)
        except OSError as error:
            self._log.warning("feed.export_stays", persona=persona_id, reason=str(error))


def _source(text: str) -> Source:
    for source in SOURCES:
        if text == source:
            return source
    raise HTTPException(400, f"Unknown source. Accepted: {', '.join(SOURCES)}.")
