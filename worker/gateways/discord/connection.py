"""One bot's connection to Discord's gateway. The next connection resumes its session.

https://discord.com/developers/docs/events/gateway
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple, NoReturn

import aiohttp
import msgspec
import nextcord
from nextcord.gateway import ReconnectWebSocket

from proto.unicode_text import valid_json
from worker.base.log import WorkerLog
from worker.gateways.common import gateway as kernel
from worker.gateways.common.budget import Bucket, Pace
from worker.gateways.common.trouble import Trouble, TroubleError, UnreadableError
from worker.gateways.discord.account import Discord
from worker.gateways.discord.client import UNREADABLE, Client, Socket, closed, ended
from worker.gateways.discord.frames import Frame

IDENTIFIES: Final = Pace(rate=0.01, burst=50)
"""The pace of new sessions: Discord resets the token of a bot that begins more than 1,000 per day
(https://discord.com/developers/docs/events/gateway#session-start-limit-object)."""

MAX_UNREADABLE: Final = 20
"""Unreadable frames after which a connection is given up."""

MAX_RESUMES: Final = 3
"""Failed resumes in a row after which a new session is begun."""

GOING_ON: Final = 4000
GONE: Final = 1000
"""Close codes: after 1000 Discord drops the session, after 4000 it keeps the session for a resume
(https://discord.com/developers/docs/events/gateway#initiating-a-disconnect)."""

ABNORMAL: Final = 1006
"""The close code of a connection that broke (https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1)."""

RECONNECTS: Final = Pace(rate=0.5, burst=10)
"""The pace of reconnects that Discord asks for. It does so several times in a row while it moves its servers."""

_DISPATCH: Final = 0
_RECONNECT: Final = 7
_INVALID: Final = 9
_ACK: Final = 11


class Timing(kernel.Timing, frozen=True, kw_only=True):
    """How long the gateway waits, in seconds."""

    connect: float = 30.0
    """For a connection, and again for the session on it."""
    silence: float = 90.0
    """Without an answered heartbeat before a connection counts as dead."""
    invalid: float = 4.0
    """Before a new session after opcode 9; multiplied by 0.25 to 1.25 at random, so 1 to 5 s as Discord requires
    (https://discord.com/developers/docs/events/gateway#resuming)."""


class Ended(NamedTuple):
    """The end of a connection that Discord asked for or announced. The next one is due in ``wait`` seconds.

    ``trouble`` is None if Discord asked for it.
    """

    wait: float
    trouble: Trouble | None


class EndedError(TroubleError):
    """The connection ended; ``asked`` if Discord asked for another one, ``code`` is its close code."""

    def __init__(self, asked: bool, code: int | None) -> None:
        super().__init__(ended(code))
        self.asked = asked
        self.announced = asked or code not in (None, ABNORMAL)


class Session(NamedTuple):
    """What is needed to resume a session."""

    id: str
    url: str
    sequence: int | None


class Connection:
    """Holds one gateway connection at a time. The callbacks run on the event loop and must not block.

    ``up`` is called for each connection that works, ``event`` with the name and the raw data of each event.
    """

    def __init__(
        self,
        account: Discord,
        timing: Timing,
        up: Callable[[], None],
        event: Callable[[str, msgspec.Raw], None],
        log: WorkerLog,
    ) -> None:
        self._account = account
        self._timing = timing
        self._up = up
        self._event = event
        self._log = log
        self._client: Client | None = None
        self._loop = asyncio.get_running_loop()
        self._session: Session | None = None
        self._resumes = 0
        self._identifies = Bucket(IDENTIFIES, self._loop.time())
        self._reconnects = Bucket(RECONNECTS, self._loop.time())
        self._is_up = False
        self._is_asked = False
        self._deadline = 0.0

    async def hold(self) -> Ended:
        """Connect, and read until Discord ends the connection in good order. Raises what PROVIDER_ERRORS lists."""
        try:
            await self._hold()
        except EndedError as end:
            if not end.announced or not (end.asked or self._is_up):
                raise
            wait = self._reconnects.take(self._loop.time())
            return Ended(wait, None if end.asked else end.trouble)

    async def _hold(self) -> NoReturn:
        self._is_up = False
        self._is_asked = False
        socket = await self._open(await self._enter())
        code = GOING_ON
        try:
            await self._listen(socket)
        except asyncio.CancelledError:
            code = GONE
            raise
        finally:
            await socket.leave(code)

    async def close(self) -> None:
        """Disconnect from Discord."""
        client, self._client = self._client, None
        if client:
            await client.leave()

    async def _enter(self) -> Client:
        """Return the client, which is created once Discord has accepted the token."""
        if self._client:
            return self._client
        # nextcord retries refused logins silently, so we make the first request ourselves.
        await self._account.whoami()
        client = Client(self._account.url, self._read)
        try:
            await client.enter(self._account.token, self._account.request_timeout)
        except BaseException:
            await client.leave()
            raise
        self._client = client
        return client

    async def _open(self, client: Client) -> Socket:
        if self._resumes >= MAX_RESUMES:
            self._session = None
        self._resumes += 1
        session = self._session
        resume: dict[str, Any] = {}  # Any: nextcord's arguments, each of a different type.
        if session:
            url = session.url
            resume = {"session": session.id, "sequence": session.sequence, "resume": True}
        else:
            url = await self._account.gateway_url()
            await asyncio.sleep(self._identifies.take(self._loop.time()))
        self._deadline = self._loop.time() + 2 * self._timing.connect
        socket = await client.open(self._timing.connect, url, resume)
        client.ws = socket
        return socket

    async def _listen(self, socket: Socket) -> NoReturn:
        """Read until the connection ends or falls silent. A frame that nextcord cannot parse is logged and skipped."""
        unreadable = 0
        self._keep(socket, resumable=True)
        while True:
            try:
                await self._next(socket)
            except UNREADABLE as error:
                unreadable += 1
                self._log.error("discord.unparsed", reason=f"{type(error).__name__}: {error}"[:500])
                if unreadable > MAX_UNREADABLE:
                    self._session = None
                    raise UnreadableError(str(error)) from None

    async def _next(self, socket: Socket) -> None:
        """Let nextcord handle a frame; when the connection ends, remember whether the session can be resumed."""
        try:
            async with asyncio.timeout_at(self._deadline):
                await socket.poll_event()
        except ReconnectWebSocket as end:
            self._keep(socket, resumable=end.resume)
            if not end.resume:
                await asyncio.sleep(self._timing.invalid * random.uniform(0.25, 1.25))
            raise EndedError(self._is_asked, socket.socket.close_code) from None
        except nextcord.ConnectionClosed as end:
            self._keep(socket, resumable=False)
            raise TroubleError(closed(end.code)) from None
        except (aiohttp.WebSocketError, zlib.error) as error:
            self._keep(socket, resumable=True)
            raise UnreadableError(str(error)) from None
        except (aiohttp.ClientError, OSError):
            self._keep(socket, resumable=True)
            raise

    def _read(self, text: str) -> None:
        """Read a frame before nextcord does."""
        try:
            frame = msgspec.json.decode(valid_json(text), type=Frame)
        except (msgspec.DecodeError, RecursionError) as error:
            self._log.error("discord.unreadable", reason=str(error))
            return
        began = frame.t in ("READY", "RESUMED")
        self._is_asked = self._is_asked or frame.op in (_RECONNECT, _INVALID)
        if frame.op == _ACK or began:
            self._account.answered()
            if frame.t or self._is_up:
                self._deadline = self._loop.time() + self._timing.silence
        if frame.op == _DISPATCH and frame.t:
            self._event(frame.t, frame.d)
        if began:
            self._resumes = 0
            self._is_up = True
            self._up()

    def _keep(self, socket: Socket, *, resumable: bool) -> None:
        """Remember how to resume this connection's session."""
        id_, url = socket.session_id, socket.resume_url or (self._session.url if self._session else None)
        self._session = Session(id_, url, socket.sequence) if resumable and id_ and url else None
