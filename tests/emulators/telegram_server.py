"""The Telegram emulator's HTTP side: uvicorn's protocol on a loop in a thread, calls, long polls, faults, journal."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from tests.emulators.listening import stop_accepting
from tests.emulators.telegram_faults import DESCRIPTIONS, Fault, Faults
from tests.emulators.telegram_methods import WEBHOOK_SET, Methods
from tests.emulators.telegram_params import Params, read_params
from tests.emulators.telegram_world import ApiError, Bot, Json, World
from tests.patience import PATIENCE

LONGEST_POLL: Final = 50
"""Seconds. The server holds no poll longer, whatever ``timeout`` says."""
TOKEN: Final = re.compile(r"[1-9]\d{0,18}:[A-Za-z0-9_-]+")

T = TypeVar("T")


@dataclass(eq=False)
class Call:
    """One request and its answer."""

    method: str
    token: str
    params: Json
    files: dict[str, int]
    """Part names and sizes in bytes."""
    connection: int
    """The client's port: calls with the same port came over one connection."""
    at: float = field(default_factory=time.time)
    status: int | None = None
    """The answer's HTTP status; None if there was none yet or it was lost."""
    answered_at: float | None = None


@dataclass(eq=False)
class _Poll:
    """A getUpdates call that waits."""

    woken: asyncio.Event = field(default_factory=asyncio.Event)
    ended: ApiError | None = None
    """The error with which it has to end."""


class BotApi:
    """Answers the Bot API's URLs. Everything here runs on the server's loop."""

    def __init__(self, world: World, methods: Methods, faults: Faults) -> None:
        self.world = world
        self.methods = methods
        self.faults = faults
        self.calls: list[Call] = []
        self.conflict_pause = 3.0
        """Seconds: after one 409, another within this time is answered this much later (telegram-bot-api does)."""
        self.state = ServerState()
        self.state.default_headers = [(b"server", b"nginx/1.18.0")]
        self.routes: list[BaseRoute] = [
            Route("/file/bot{token}/{path:path}", self._download),
            Route("/bot{token}/{method}", self._call, methods=["GET", "POST"]),
            Route("/{path:path}", lambda _request: refusal(ApiError(404, "Not Found")), methods=["GET", "POST"]),
        ]
        self._polls: dict[Bot, _Poll] = {}
        self._open_polls: dict[Bot, list[int]] = {}
        self._conflicts: dict[Bot, float] = {}
        self._healed = asyncio.Event()

    def wake(self, bot: Bot) -> None:
        """Check again whether a bot's poll has updates to return."""
        if poll := self._polls.get(bot):
            poll.woken.set()

    def end_poll(self, bot: Bot, error: ApiError) -> None:
        """End a bot's waiting poll with an error."""
        if poll := self._polls.pop(bot, None):
            poll.ended = error
            poll.woken.set()

    def heal(self) -> None:
        """Let hanging calls go on."""
        self._healed.set()
        self._healed = asyncio.Event()

    def abort_connections(self) -> None:
        """Break every connection."""
        for connection in self._connections():
            connection.transport.abort()

    async def _call(self, request: Request) -> Response:
        token, given = request.path_params["token"], request.path_params["method"]
        name = self.methods.by_name.get(given.lower(), (given, None))[0]
        name = "getUpdates" if given.lower() == "getupdates" else name
        try:
            params = await read_params(request)
        except ApiError as error:
            return refusal(error)
        with self._recorded(request, name, token, params) as call:
            bot = self.world.bots.get(token)
            async with _watched(request) as gone:
                with self._counted(bot if name == "getUpdates" else None, call):
                    response = await self._answer(request, call, params, gone)
            call.status = response.status_code if response else None
            return response or Response()

    async def _download(self, request: Request) -> Response:
        token, path = request.path_params["token"], request.path_params["path"]
        params = Params({"path": path}, {})
        with self._recorded(request, "file", token, params) as call:
            async with _watched(request) as gone:
                response = await self._answer(request, call, params, gone)
            call.status = response.status_code if response else None
            return response or Response()

    async def _answer(
        self, request: Request, call: Call, params: Params, gone: asyncio.Future[None]
    ) -> Response | None:
        """The answer to a call after the fault that it meets, or None when the client gets none."""
        fault = self.faults.claim(call.method, call.token, params.text("chat_id")) or Fault("slow", seconds=0)
        try:
            if fault.kind == "status":
                if page := fault.page():
                    return HTMLResponse(page, fault.code)
                raise fault.error()
            if fault.kind == "drop":
                await self._break(request, gone)
                return None
            if fault.kind == "slow":
                await asyncio.wait({gone}, timeout=fault.seconds)
            if fault.kind == "hang":
                await self._until_healed(gone)
            response = None if gone.done() else await self._work(call, params, gone)
        except ApiError as error:
            response = refusal(error)
        if fault.kind == "lose_hang":
            await self._until_healed(gone)
        if fault.kind in ("lose", "lose_hang"):
            await self._break(request, gone)
            return None
        return response

    async def _work(self, call: Call, params: Params, gone: asyncio.Future[None]) -> Response | None:
        if not TOKEN.fullmatch(call.token):
            raise ApiError(404, DESCRIPTIONS[404])
        bot = self.world.bots.get(call.token)
        if not bot or bot.revoked:
            raise ApiError(401, DESCRIPTIONS[401])
        if call.method == "file":
            stored = self.world.links.get(f"{call.token}/{params.text('path')}")
            if not stored:
                raise ApiError(404, DESCRIPTIONS[404])
            return Response(stored.data, media_type="application/octet-stream")
        if bot.logged_out:
            raise ApiError(400, "Logged out")
        if call.method == "getUpdates":
            return await self._get_updates(bot, params, gone)
        if call.method.lower() not in self.methods.by_name:
            raise ApiError(404, DESCRIPTIONS[404])
        with self.world.changed:
            return _result(self.methods.by_name[call.method.lower()][1](bot, params))

    async def _get_updates(self, bot: Bot, params: Params, gone: asyncio.Future[None]) -> Response | None:
        if bot.webhook:
            raise ApiError(409, WEBHOOK_SET)
        offset, limit = params.number("offset"), params.number("limit", 100)
        if (allowed := params.parsed("allowed_updates")) is not None:
            with self.world.changed:
                bot.updates.allow(allowed)
        deadline = time.monotonic() + min(params.number("timeout"), LONGEST_POLL)
        found = self._take(bot, offset, limit)
        if found or deadline <= time.monotonic():
            return _result(found)
        self.end_poll(bot, ApiError(409, DESCRIPTIONS[409]))
        poll = self._polls[bot] = _Poll()
        try:
            while not found:
                in_time = await _first(gone, poll.woken.wait(), deadline - time.monotonic())
                if poll.ended or gone.done() or not in_time:
                    break
                poll.woken.clear()
                found = self._take(bot, offset, limit)
        finally:
            if self._polls.get(bot) is poll:
                del self._polls[bot]
        if poll.ended:
            await self._pace_conflict(poll.ended, bot, gone)
            raise poll.ended
        return None if gone.done() else _result(found)

    def _take(self, bot: Bot, offset: int, limit: int) -> list[Json]:
        with self.world.changed:
            found = bot.updates.take(offset, limit if 1 <= limit <= 100 else 100)
            self.world.changed.notify_all()
            return found

    async def _pace_conflict(self, error: ApiError, bot: Bot, gone: asyncio.Future[None]) -> None:
        if error.code != 409:
            return
        if time.monotonic() < self._conflicts.get(bot, 0):
            await asyncio.wait({gone}, timeout=self.conflict_pause)
        else:
            self._conflicts[bot] = time.monotonic() + self.conflict_pause

    async def _until_healed(self, gone: asyncio.Future[None]) -> None:
        await _first(gone, self._healed.wait(), None)

    async def _break(self, request: Request, gone: asyncio.Future[None]) -> None:
        """Break the connection instead of answering."""
        for connection in self._connections():
            if connection.client == request.client:
                connection.transport.abort()
        await gone

    def _connections(self) -> list[H11Protocol]:
        return [connection for connection in self.state.connections if isinstance(connection, H11Protocol)]

    @contextmanager
    def _recorded(self, request: Request, name: str, token: str, params: Params) -> Iterator[Call]:
        sizes = {part: len(upload.data) for part, upload in params.files.items()}
        call = Call(name, token, params.values, sizes, request.client.port if request.client else 0)
        with self.world.changed:
            self.calls.append(call)
            self.world.changed.notify_all()
        try:
            yield call
        finally:
            with self.world.changed:
                call.answered_at = time.time()
                self.world.changed.notify_all()

    @contextmanager
    def _counted(self, bot: Bot | None, call: Call) -> Iterator[None]:
        """Count the polls that are open at once; one whose client has gone away counts no more.

        Its transport knows that some turns of the loop before its call hears of it, and ports say which is which.
        """
        if bot is None:
            yield
            return
        ports = self._open_polls.setdefault(bot, [])
        alive = {c.client[1] for c in self._connections() if c.client and not c.transport.is_closing()}
        ports[:] = [port for port in ports if port in alive]
        ports.append(call.connection)
        bot.most_polls = max(bot.most_polls, len(ports))
        try:
            yield
        finally:
            if call.connection in ports:
                ports.remove(call.connection)


class LoopbackServer:
    """Serves an application on 127.0.0.1 from its own thread, and can go down and come up again."""

    def __init__(self, routes: list[BaseRoute], api: BotApi, port: int) -> None:
        self.port = port
        self.loop = asyncio.new_event_loop()
        self._api = api
        self._config = uvicorn.Config(
            Starlette(routes=routes), http="h11", ws="none", lifespan="off", log_config=None, timeout_keep_alive=75
        )
        self._listener: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._run, name="telegram-emulator", daemon=True)

    def start(self) -> None:
        """Listen. The port is known afterwards."""
        self._thread.start()
        self.wait(self.listen())

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the server's loop from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    async def listen(self) -> None:
        """Open the port, the same as before if there was one."""
        if self._listener is None:
            self._listener = await self.loop.create_server(self._protocol, "127.0.0.1", self.port)
            self.port = self._listener.sockets[0].getsockname()[1]

    async def vanish(self) -> None:
        """Close the port and break every connection."""
        if self._listener is not None:
            await stop_accepting(self._listener)
            self._listener = None
        self._api.abort_connections()
        while self._api.state.connections:  # noqa: ASYNC110  aborted transports report on a later turn of the loop
            await asyncio.sleep(0)

    def close(self) -> None:
        """Stop for good."""
        self.wait(self._finish())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)

    async def _finish(self) -> None:
        await self.vanish()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _protocol(self) -> H11Protocol:
        return H11Protocol(self._config, self._api.state, {}, self.loop)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()


def refusal(error: ApiError) -> JSONResponse:
    """An error as the Bot API answers it."""
    body: Json = {"ok": False, "error_code": error.code, "description": error.description}
    headers = {}
    if error.parameters:
        body["parameters"] = error.parameters
        if "retry_after" in error.parameters:
            headers["retry-after"] = str(error.parameters["retry_after"])
    return JSONResponse(body, error.code, headers)


def _result(found: object) -> JSONResponse:
    return JSONResponse({"ok": True, "result": found})


async def _first(gone: asyncio.Future[None], work: Coroutine[Any, Any, object], timeout: float | None) -> bool:
    """Wait for either. Return False if time ran out first."""
    task = asyncio.ensure_future(work)
    waiting: set[asyncio.Future[Any]] = {gone, task}
    try:
        done, _ = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        task.cancel()


@asynccontextmanager
async def _watched(request: Request) -> AsyncIterator[asyncio.Future[None]]:
    """Return a future that is done when the client has gone away."""
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        yield gone
    finally:
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
