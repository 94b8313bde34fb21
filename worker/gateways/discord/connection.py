"""One bot's connection to Discord's gateway, which comes back by itself until Discord refuses the bot for good."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

import aiohttp
import msgspec
import nextcord
from nextcord.gateway import DiscordWebSocket, ReconnectWebSocket

from proto.secrets import Secret
from worker.base.backoff import Backoff
from worker.base.log import WorkerLog
from worker.gateways.common.budget import Bucket, Pace
from worker.gateways.discord.client import LEAVE_TIMEOUT, Client, Refusal
from worker.gateways.discord.errors import NETWORK, PROVIDER_ERRORS, UNREADABLE, Trouble, trouble
from worker.gateways.discord.frames import Frame

IDENTIFIES: Final = Pace(rate=0.01, burst=50)
"""New sessions: Discord resets a token that begins more than 1,000 a day (documentation, session start limit)."""

MAX_UNREADABLE: Final = 20
"""Unreadable frames on one connection, after which it is no connection to Discord."""

MAX_RESUMES: Final = 3
"""Resumes that fail in a row, after which a new session is begun."""

GOING_ON: Final = 4000
GONE: Final = 1000
"""Close codes: after 1000 Discord forgets the session, after others it waits for the bot to resume it."""

_DISPATCH: Final = 0
_ACK: Final = 11


class Timing(NamedTuple):
    """How long the gateway waits, in seconds."""

    shortest: float = 0.5
    longest: float = 60.0
    """Ceilings of the backoff."""
    stable: float = 60.0
    """A connection that held so long lets the backoff begin anew."""
    connect: float = 30.0
    """For a connection, and then for the session on it."""
    silence: float = 90.0
    """Without an answered heartbeat, after which a connection is dead."""
    invalid: float = 4.0
    """At most, beside one fourth of it, before a new session after one was refused (documentation, opcode 9)."""
    commit: float = 30.0
    """For the daemon's word that messages are committed."""


_opened: ContextVar[list[Socket]] = ContextVar("opened")


class Socket(DiscordWebSocket):
    """A gateway connection that is known from its first moment on, so that it can be left before it says hello."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(socket, loop=loop)
        _opened.get().append(self)


class Session(NamedTuple):
    """What a session is resumed with."""

    id: str
    url: str
    sequence: int | None


class Connection:
    """Keeps one gateway connection. All callbacks are called on the loop and must not block.

    ``up`` hears of each connection that works; ``down`` what is wrong until the next try; ``event`` gets the name and
    the raw data of each event.
    """

    def __init__(
        self,
        token: Secret,
        url: str,
        timing: Timing,
        up: Callable[[Client], None],
        down: Callable[[Trouble], None],
        event: Callable[[str, msgspec.Raw], None],
        log: WorkerLog,
    ) -> None:
        self.client: Client | None = None
        self.exchanged: float | None = None
        self._token = token
        self._url = url
        self._timing = timing
        self._up = up
        self._down = down
        self._event = event
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._session: Session | None = None
        self._resumes = 0
        self._identifies = Bucket(IDENTIFIES, self._loop.time())
        self._up_since: float | None = None
        self._deadline = 0.0

    async def run(self) -> None:
        """Stay connected; returns only when Discord refuses the bot for good, which ``down`` was told."""
        backoff = self._backoff()
        while True:
            found = await self._connect()
            if self._held() >= self._timing.stable:
                backoff = self._backoff()
            self._down(found)
            if found.kind == "stop":
                return
            wait = max(backoff.next(), found.retry_after)
            self._log.info("discord.waiting", reason=found.reason, wait=round(wait, 1), resumable=bool(self._session))
            await asyncio.sleep(wait)

    def answered(self) -> None:
        """Discord answered a request."""
        self.exchanged = self._loop.time()

    async def close(self) -> None:
        """Leave Discord."""
        client, self.client = self.client, None
        if client:
            await client.leave()

    async def _connect(self) -> Trouble:
        """One connection from its beginning to its end; returns what ended it."""
        self._up_since = None
        try:
            client = await self._enter()
            socket = await self._open(client)
        except (*PROVIDER_ERRORS, *UNREADABLE) as error:
            return trouble(error, self._token)
        client.ws = socket
        code = GOING_ON
        try:
            return await self._listen(socket)
        except asyncio.CancelledError:
            code = GONE
            raise
        finally:
            await _leave(socket, code)

    async def _enter(self) -> Client:
        """The client, which is kept once Discord has told whose token it is."""
        if self.client:
            return self.client
        client = Client(self._url, self._read)
        try:
            await client.enter(self._token)
        except BaseException as error:
            await client.leave()
            if isinstance(error, TimeoutError) and (wait := client.asked_to_wait - self._loop.time()) > 0:
                raise Refusal(429, None, "wait", wait) from error
            raise
        self.client = client
        self.answered()
        return client

    async def _open(self, client: Client) -> Socket:
        """Connect, and resume the session or ask for a new one; the answer comes as an event."""
        if self._resumes >= MAX_RESUMES:
            self._session = None
        self._resumes += 1
        session = self._session
        resume: dict[str, Any] = {}
        if session:
            url = session.url
            resume = {"session": session.id, "sequence": session.sequence, "resume": True}
        else:
            url = str((await client.ask("GET", "/gateway"))["url"])
            await asyncio.sleep(self._identifies.take(self._loop.time()))
        self._deadline = self._loop.time() + 2 * self._timing.connect
        opened: list[Socket] = []
        _opened.set(opened)
        try:
            async with asyncio.timeout(self._timing.connect):
                # ``initial`` spares its pause of 5 s before a new session: the waits are ours.
                await Socket.from_client(client, initial=True, gateway=url, format_gateway=True, **resume)
        except BaseException:
            for socket in opened:
                await _leave(socket, GOING_ON)
            raise
        return opened[0]

    async def _listen(self, socket: Socket) -> Trouble:
        """Read until the connection ends or falls silent; a frame that nextcord cannot parse is told and skipped."""
        unreadable = 0
        self._keep(socket, resumable=True)
        while True:
            try:
                async with asyncio.timeout_at(self._deadline):
                    await socket.poll_event()
            except ReconnectWebSocket as end:
                self._keep(socket, resumable=end.resume)
                if not end.resume:
                    await asyncio.sleep(self._timing.invalid * random.uniform(0.25, 1.25))
                return _ended(socket)
            except nextcord.ConnectionClosed as error:
                self._keep(socket, resumable=False)
                return trouble(error, self._token)
            except UNREADABLE as error:
                unreadable += 1
                self._log.error("discord.unparsed", reason=f"{type(error).__name__}: {error}"[:500])
                if unreadable > MAX_UNREADABLE:
                    self._session = None
                    return trouble(error, self._token)
            except PROVIDER_ERRORS as error:
                self._keep(socket, resumable=True)
                return trouble(error, self._token)

    def _read(self, text: str) -> None:
        """Look at a frame before nextcord does."""
        try:
            frame = msgspec.json.decode(text, type=Frame)
        except msgspec.DecodeError as error:
            self._log.error("discord.unreadable", reason=str(error))
            return
        if frame.op == _ACK or frame.t in ("READY", "RESUMED"):
            self.answered()
            if frame.t or self._up_since is not None:
                self._deadline = self._loop.time() + self._timing.silence
        if frame.op == _DISPATCH and frame.t:
            self._event(frame.t, frame.d)
        if frame.t in ("READY", "RESUMED") and self.client:
            self._resumes = 0
            self._up_since = self._loop.time()
            self._up(self.client)

    def _keep(self, socket: Socket, *, resumable: bool) -> None:
        """Remember how to go on with this connection's session."""
        id_, url = socket.session_id, socket.resume_url or (self._session.url if self._session else None)
        self._session = Session(id_, url, socket.sequence) if resumable and id_ and url else None

    def _held(self) -> float:
        """The seconds that the last connection was up."""
        return 0.0 if self._up_since is None else self._loop.time() - self._up_since

    def _backoff(self) -> Backoff:
        return Backoff(self._timing.shortest, self._timing.longest)


async def _leave(socket: Socket, code: int) -> None:
    """Close a connection, whatever state it is in."""
    with contextlib.suppress(OSError, RuntimeError, aiohttp.ClientError):
        async with asyncio.timeout(LEAVE_TIMEOUT):
            await socket.close(code)


def _ended(socket: Socket) -> Trouble:
    code = socket.socket.close_code
    return Trouble("network", f"The connection to Discord's gateway ended{f' ({code})' if code else ''}.", NETWORK)
