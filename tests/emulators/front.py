"""A front door before an emulator that can be made to fail, for every provider in the same way.

It passes requests on to the emulator behind it and answers with what comes back. A ``Fault`` meets requests by their
method and path, also those that are under way. It runs on the loop of the test, so nothing here blocks.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeVar

import aiohttp
from aiohttp import web
from yarl import URL

from tests.patience import PATIENCE

T = TypeVar("T")

Trouble = Literal["reset", "lost", "hang", "slow"]
"""What happens to a request that gets no answer, see ``Fault``."""

TRICKLE: Final = 0.02
"""Seconds between two bytes of a slow answer."""

HOP_BY_HOP: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "date", "server"})
PAGE: Final = b"<html><head><title>One moment</title></head><body><h1>We will be right back</h1></body></html>"


@dataclass
class Fault:
    """What happens to requests that match ``where``, a pattern for ``METHOD /path``.

    ``answer`` gives ``status``, ``headers`` and ``body``. ``reset`` breaks the connection before anything is done,
    ``lost`` does what was asked and then breaks it, ``hang`` does it and stays silent, ``slow`` does it and answers a
    byte at a time, without end. ``lost``, ``hang`` and ``slow`` do not repeat what was under way already.
    """

    where: str
    kind: Literal["answer", "reset", "lost", "hang", "slow"]
    times: int | None = None
    """How many requests it meets; None means until healed."""
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def meets(self, line: str) -> bool:
        """Return whether it matches this request."""
        return self.times != 0 and re.search(self.where, line) is not None


class Answer(NamedTuple):
    """A provider's answer."""

    status: int
    body: bytes
    headers: dict[str, str]


class Asked(NamedTuple):
    """A request as it came; ``at`` is the loop's time."""

    at: float
    line: str
    fault: str
    """The kind of fault that met it, "" for none."""


def told(status: int, answer: object, **headers: str) -> Answer:
    """A JSON answer; underscores in header names stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(answer).encode(), {"Content-Type": "application/json", **named})


def page(status: int = 200) -> Answer:
    """A web page, as a proxy or a captive portal answers."""
    return Answer(status, PAGE, {"Content-Type": "text/html; charset=utf-8"})


class Front:
    """Listens on 127.0.0.1 before the emulator at ``behind``; make it by ``opened``."""

    def __init__(self, behind: str, session: aiohttp.ClientSession) -> None:
        self.asked: list[Asked] = []
        self._behind = behind.rstrip("/")
        self._session = session
        self._faults: list[Fault] = []
        self._failing = asyncio.Event()
        self._healed = asyncio.Event()
        self._news = asyncio.Event()
        self._runner: web.ServerRunner | None = None
        self._transports: set[asyncio.Transport] = set()
        self._port = 0

    @property
    def url(self) -> str:
        """Its base URL, to be used in place of the emulator's."""
        return f"http://127.0.0.1:{self._port}"

    def fail(self, where: str, how: Answer | Trouble, times: int | None = None) -> None:
        """Let requests fail, first of all those that are under way."""
        if isinstance(how, Answer):
            self._faults.append(Fault(where, "answer", times, how.status, how.body, how.headers))
        else:
            self._faults.append(Fault(where, how, times))
        self._failing.set()
        self._failing = asyncio.Event()

    def heal(self) -> None:
        """End all faults and break hanging requests."""
        self._faults.clear()
        self._healed.set()
        self._healed = asyncio.Event()

    async def up(self) -> None:
        """Listen, always on the same port."""
        self._runner = web.ServerRunner(web.Server(self._answer, handler_cancellation=True), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = int(self._runner.addresses[0][1])

    async def down(self) -> None:
        """Break all connections, and refuse new ones until ``up``."""
        for transport in self._transports:
            transport.abort()
        if self._runner:
            await self._runner.cleanup()

    def lines(self, where: str) -> list[Asked]:
        """The requests so far that match a pattern for ``METHOD /path``."""
        return [one for one in self.asked if re.search(where, one.line)]

    async def until(self, condition: Callable[[], T | None]) -> T:
        """Wait until a condition of the requests holds."""
        async with asyncio.timeout(PATIENCE):
            while not (found := condition()):
                self._news.clear()
                await self._news.wait()
        return found

    async def quiet(self, seconds: float) -> bool:
        """Return whether no request comes for this long."""
        before = len(self.asked)
        try:
            async with asyncio.timeout(seconds):
                while len(self.asked) == before:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return True
        return False

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport
        self._transports = {one for one in self._transports if not one.is_closing()} | {request.transport}
        body = await request.read()
        line = f"{request.method} {request.path}"
        fault = self._claim(line)
        self._note(line, fault)
        if fault is None:
            passing = asyncio.create_task(self._pass_on(request, body))
            try:
                fault = await self._met(passing, line)
                if fault is None:
                    return await passing
            finally:
                passing.cancel()
            self._note(line, fault)
        elif fault.kind in ("lost", "hang", "slow"):
            await self._pass_on(request, body)
        return await self._misbehave(request, fault)

    def _claim(self, line: str) -> Fault | None:
        fault = next((one for one in self._faults if one.meets(line)), None)
        if fault and fault.times is not None:
            fault.times -= 1
        return fault

    def _note(self, line: str, fault: Fault | None) -> None:
        self.asked.append(Asked(asyncio.get_running_loop().time(), line, fault.kind if fault else ""))
        self._news.set()

    async def _met(self, passing: asyncio.Task[web.Response], line: str) -> Fault | None:
        """Wait for the emulator's answer, or for a fault that meets the request first."""
        while True:
            failing = asyncio.create_task(self._failing.wait())
            await asyncio.wait([passing, failing], return_when=asyncio.FIRST_COMPLETED)
            failing.cancel()
            if passing.done():
                return None
            if fault := self._claim(line):
                return fault

    async def _pass_on(self, request: web.BaseRequest, body: bytes) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        url = URL(self._behind + request.raw_path, encoded=True)
        async with self._session.request(
            request.method, url, data=body, headers=headers, allow_redirects=False, skip_auto_headers=("Content-Type",)
        ) as response:
            kept = {name: value for name, value in response.headers.items() if name.lower() not in HOP_BY_HOP}
            return web.Response(body=await response.read(), status=response.status, headers=kept)

    async def _misbehave(self, request: web.BaseRequest, fault: Fault) -> web.StreamResponse:
        match fault.kind:
            case "answer":
                return web.Response(body=fault.body, status=fault.status, headers=fault.headers)
            case "hang":
                await self._healed.wait()
            case "slow":
                await self._trickle(request)
        return await _reset(request)

    async def _trickle(self, request: web.BaseRequest) -> None:
        """Answer one byte at a time: blanks, with which JSON may begin."""
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "100000"})
        await response.prepare(request)
        healed = self._healed
        while not healed.is_set():
            await response.write(b" ")
            try:
                async with asyncio.timeout(TRICKLE):
                    await healed.wait()
            except TimeoutError:
                continue


async def _reset(request: web.BaseRequest) -> web.StreamResponse:
    """Break the connection with a reset (socket(7), SO_LINGER); the handler ends with its connection."""
    if request.transport:
        connection: Any = request.transport.get_extra_info("socket")
        # Any: asyncio gives a TransportSocket here, which typeshed does not promise.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    await asyncio.Event().wait()
    raise ConnectionResetError


@asynccontextmanager
async def opened(behind: str) -> AsyncIterator[Front]:
    """A listening front door to the emulator at this base URL."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        front = Front(behind, session)
        await front.up()
        try:
            yield front
        finally:
            front.heal()
            await front.down()
