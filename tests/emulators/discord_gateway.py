"""Discord's gateway: connections, sessions that outlive them, events with sequence numbers, and close codes."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

import msgspec
from starlette.websockets import WebSocket

from tests.emulators.discord_journal import Frame, Journal
from tests.emulators.discord_objects import (
    MESSAGE_CONTENT,
    PRIVILEGED,
    Bot,
    Channel,
    Json,
    Message,
    application_flags,
    show_channel,
    show_guild,
    show_me,
)
from tests.emulators.discord_world import World

GUILDS: Final = 1 << 0
GUILD_MESSAGES: Final = 1 << 9
DIRECT_MESSAGES: Final = 1 << 12
KNOWN_INTENTS: Final = sum(1 << bit for bit in (*range(17), 20, 21, 24, 25))
FATAL: Final = {1000, 1001, 4004, 4007, 4009, 4010, 4011, 4012, 4013, 4014}
"""Close codes after which a session cannot be resumed."""

FRAME_LIMIT: Final = 4096
"""Bytes that a bot may send in one frame."""

BACKLOG: Final = 1000
SLACK: Final = 0.5
"""Seconds that a heartbeat may be late besides half an interval, because the machine may be busy."""


class Session(msgspec.Struct, eq=False):
    """What READY began; events are numbered and kept here while its bot is disconnected."""

    id: str
    bot: Bot
    intents: int
    seq: int = 0
    backlog: deque[Json] = msgspec.field(default_factory=lambda: deque(maxlen=BACKLOG))
    connection: Connection | None = None
    left_at: float = 0.0

    @property
    def content(self) -> bool:
        return bool(self.intents & MESSAGE_CONTENT)


class Connection:
    """One WebSocket. Frames leave in the order of ``post``; ``close`` comes after them."""

    def __init__(self, websocket: WebSocket, journal: Journal, *, compress: bool) -> None:
        self.websocket = websocket
        self.session: Session | None = None
        self.beat_at = time.monotonic()
        self.closing = 0
        self._journal = journal
        self._zlib = zlib.compressobj() if compress else None
        self._queue: asyncio.Queue[Json | int] = asyncio.Queue()

    def post(self, op: int, d: object, t: str | None = None, s: int | None = None) -> None:
        """Queue a frame; all four keys are always there."""
        if not self.closing:
            self._queue.put_nowait({"t": t, "s": s, "op": op, "d": d})

    def close(self, code: int) -> None:
        """Queue the close. Frames that are posted later are lost."""
        if not self.closing:
            self.closing = code
            self._queue.put_nowait(code)

    async def write(self) -> None:
        """Send what is queued until the close."""
        while not isinstance(frame := await self._queue.get(), int):
            self.record("received", frame)
            text = json.dumps(frame)
            if self._zlib:
                packed = self._zlib.compress(text.encode()) + self._zlib.flush(zlib.Z_SYNC_FLUSH)
                await self.websocket.send_bytes(packed)
            else:
                await self.websocket.send_text(text)
        await self.websocket.close(frame)

    def record(self, way: Any, frame: Json) -> None:
        """Journal a frame (Any: one of Frame's two ways)."""
        token, session = (self.session.bot.token, self.session.id) if self.session else ("", "")
        entry = Frame(way, token, session, frame["op"], frame.get("t"), frame.get("s"), frame.get("d"))
        self._journal.add(entry)


class Gateway:
    """All gateway state; touched only on the emulator's loop."""

    def __init__(self, world: World, journal: Journal, cut: Callable[[object], None]) -> None:
        """``cut`` breaks a client's TCP connection without a close frame."""
        self.world = world
        self.journal = journal
        self.heartbeat_interval = 41.25
        """Seconds, sent in Hello."""
        self.acks = True
        self.compress = True
        """Honour ``compress=zlib-stream``; without it every client gets text."""
        self.resume_window = 120.0
        """Seconds that a session waits for its bot."""
        self.refusals: deque[int] = deque()
        """Close codes for the next identifies or resumes."""
        self.sessions: dict[str, Session] = {}
        self.identifies: Counter[str] = Counter()
        self.resumes: Counter[str] = Counter()
        self.peaks: Counter[str] = Counter()
        """The most identified connections that one token ever had at once."""
        self._cut = cut

    def connected(self, token: str = "") -> list[Connection]:
        """Return the identified connections, of one token if given."""
        sessions = (session for session in self.sessions.values() if token in ("", session.bot.token))
        return [session.connection for session in sessions if session.connection]

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one connection from its Hello to its end."""
        if await self._fails(websocket):
            return
        await websocket.accept()
        query = websocket.query_params
        compress = self.compress and query.get("compress") == "zlib-stream"
        connection = Connection(websocket, self.journal, compress=compress)
        writer = asyncio.create_task(connection.write())
        try:
            if query.get("v") not in ("9", "10") or query.get("encoding", "json") != "json":
                self.close(connection, 4012)
            connection.post(10, {"heartbeat_interval": int(self.heartbeat_interval * 1000), "_trace": ["emulator"]})
            code = await self._read(connection)
            self._detach(connection, connection.closing or code)
        finally:
            writer.cancel()
            await asyncio.wait({writer})
            self._detach(connection, 1006)

    def close(self, connection: Connection, code: int) -> None:
        """Close with a code."""
        connection.close(code)
        self._detach(connection, code)

    def drop(self, connection: Connection) -> None:
        """Break the connection without a close frame; the session stays resumable."""
        self._detach(connection, 1006)
        self._cut(connection.websocket.scope["client"])

    def forget(self, token: str) -> None:
        """End a bot's sessions, so that a resume is refused; their connections break, as when a server is restarted."""
        for session in [session for session in self.sessions.values() if session.bot.token == token]:
            if session.connection:
                self.drop(session.connection)
            self.end(session)

    def end(self, session: Session) -> None:
        """Forget a session. Its connection, if any, may identify again."""
        self.sessions.pop(session.id, None)
        if session.connection:
            session.connection.session = None
            session.connection = None
        self.journal.ring()

    def announce(self, message: Message, event: str = "MESSAGE_CREATE") -> None:
        """Send a message's creation or change to the sessions that subscribed to it."""
        channel = self.world.channels[message.channel_id]
        wanted = GUILD_MESSAGES if channel.guild_id else DIRECT_MESSAGES
        for session in self._listening(channel.bot, wanted):
            self.dispatch(session, event, self.world.show_event(message, channel.bot, content=session.content))

    def announce_gone(self, message: Message) -> None:
        """MESSAGE_DELETE; in a DM it has no guild_id."""
        channel = self.world.channels[message.channel_id]
        gone = {"id": str(message.id), "channel_id": str(channel.id)}
        if channel.guild_id:
            gone["guild_id"] = str(channel.guild_id)
        for session in self._listening(channel.bot, GUILD_MESSAGES if channel.guild_id else DIRECT_MESSAGES):
            self.dispatch(session, "MESSAGE_DELETE", gone)

    def announce_channel(self, channel: Channel) -> None:
        """CHANNEL_CREATE of a DM, which bots got before API v8 and which libraries still handle."""
        for session in self._listening(channel.bot, DIRECT_MESSAGES):
            self.dispatch(session, "CHANNEL_CREATE", show_channel(channel))

    def dispatch(self, session: Session, event: str, d: object) -> None:
        """Number an event, keep it, and send it if its bot is there."""
        session.seq += 1
        session.backlog.append({"t": event, "s": session.seq, "op": 0, "d": d})
        if session.connection:
            session.connection.post(0, d, event, session.seq)

    async def _fails(self, websocket: WebSocket) -> bool:
        fault = self.journal.take("WS /gw", "")
        if fault is None:
            return False
        if fault.kind == "hang":
            released = self.journal.released
            await websocket.accept()
            waiting = {asyncio.ensure_future(released.wait()), asyncio.ensure_future(websocket.receive())}
            _, late = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in late:
                task.cancel()
        elif fault.kind == "drop":
            self._cut(websocket.scope["client"])
        else:
            start = {"type": "websocket.http.response.start", "status": fault.status, "headers": []}
            await websocket.receive()
            await websocket.send(start)
            await websocket.send({"type": "websocket.http.response.body", "body": b""})
        return True

    async def _read(self, connection: Connection) -> int:
        """Take frames until the connection ends; returns its close code."""
        while True:
            deadline = connection.beat_at + 1.5 * self.heartbeat_interval + SLACK
            try:
                async with asyncio.timeout(None if connection.closing else deadline - time.monotonic()):
                    event = await connection.websocket.receive()
            except TimeoutError:
                self.close(connection, 4009)
                continue
            if event["type"] == "websocket.disconnect":
                return int(event.get("code") or 1005)
            if not connection.closing:
                self._take(connection, event.get("text") or (event.get("bytes") or b"").decode())

    def _take(self, connection: Connection, text: str) -> None:
        try:
            frame = json.loads(text)
            op, d = frame["op"], frame.get("d")
        except (ValueError, TypeError, KeyError, AttributeError):
            return self.close(connection, 4002)
        if len(text.encode()) > FRAME_LIMIT:
            return self.close(connection, 4002)
        connection.record("sent", frame)
        match op:
            case 1:
                connection.beat_at = time.monotonic()
                if self.acks:
                    connection.post(11, None)
            case 2 | 6 if connection.session:
                self.close(connection, 4005)
            case 2 | 6 if not isinstance(d, dict):
                self.close(connection, 4002)
            case 2 | 6 if self.refusals:
                self.close(connection, self.refusals.popleft())
            case 2:
                self._identify(connection, d)
            case 6:
                self._resume(connection, d)
            case 3 | 4 | 8 | 31:
                if not connection.session:
                    self.close(connection, 4003)
            case _:
                self.close(connection, 4001)
        return None

    def _identify(self, connection: Connection, d: Json) -> None:
        bot = self.world.bot(str(d.get("token")))
        intents, shard = d.get("intents"), d.get("shard", [0, 1])
        if bot is None:
            return self.close(connection, 4004)
        self.identifies[bot.token] += 1
        if not isinstance(shard, list) or len(shard) != 2 or not 0 <= shard[0] < shard[1]:
            return self.close(connection, 4010)
        if not isinstance(intents, int) or intents < 0 or intents & ~KNOWN_INTENTS:
            return self.close(connection, 4013)
        if any(intents & privileged and not bot.privileged & privileged for privileged in PRIVILEGED):
            return self.close(connection, 4014)
        if not isinstance(d.get("properties"), dict):
            return self.close(connection, 4002)
        session = Session(secrets.token_hex(16), bot, intents)
        self.sessions[session.id] = session
        self._attach(connection, session)
        self.dispatch(session, "READY", self._ready(session, shard))
        for channel in self.world.guilds(bot) if intents & GUILDS else ():
            self.dispatch(session, "GUILD_CREATE", show_guild(channel))
        return None

    def _resume(self, connection: Connection, d: Json) -> None:
        bot = self.world.bot(str(d.get("token")))
        if bot is None:
            return self.close(connection, 4004)
        self.resumes[bot.token] += 1
        session, seq = self.sessions.get(str(d.get("session_id"))), d.get("seq")
        if session is None or session.bot is not bot or not self._kept(session) or not isinstance(seq, int):
            return connection.post(9, False)  # noqa: FBT003  the opcode's whole data
        if seq > session.seq:
            return self.close(connection, 4007)
        missed = [frame for frame in session.backlog if frame["s"] > seq]
        if len(missed) < session.seq - seq:
            self.end(session)
            return connection.post(9, False)  # noqa: FBT003  the opcode's whole data
        if session.connection:
            self.close(session.connection, 4000)
        self._attach(connection, session)
        for frame in missed:
            connection.post(0, frame["d"], frame["t"], frame["s"])
        self.dispatch(session, "RESUMED", {"_trace": ["emulator"]})
        return None

    def _ready(self, session: Session, shard: list[int]) -> Json:
        bot = session.bot
        unavailable = [{"id": str(channel.guild_id), "unavailable": True} for channel in self.world.guilds(bot)]
        empty: Json = {key: [] for key in ("relationships", "private_channels", "presences", "guild_join_requests")}
        return {
            **empty,
            "v": 10,
            "user_settings": {},
            "user_settings_proto": "",
            "user": show_me(bot),
            "session_type": "normal",
            "session_id": session.id,
            "resume_gateway_url": self.world.base.replace("http", "ws", 1) + "/gw-resume",
            "guilds": unavailable,
            "geo_ordered_rtc_regions": ["rotterdam"],
            "auth": {},
            "application": {"id": str(bot.account.id), "flags": application_flags(bot)},
            "shard": shard,
            "_trace": ["emulator"],
        }

    def _attach(self, connection: Connection, session: Session) -> None:
        connection.session, session.connection = session, connection
        token = session.bot.token
        self.peaks[token] = max(self.peaks[token], len(self.connected(token)))
        self.journal.ring()

    def _detach(self, connection: Connection, code: int) -> None:
        session = connection.session
        if session is None or session.connection is not connection:
            return
        session.connection, session.left_at = None, time.monotonic()
        if code in FATAL:
            self.end(session)
        self.journal.ring()

    def _kept(self, session: Session) -> bool:
        return session.connection is not None or time.monotonic() - session.left_at < self.resume_window

    def _listening(self, bot: Bot, intent: int) -> list[Session]:
        kept = [session for session in self.sessions.values() if session.bot is bot and self._kept(session)]
        return [session for session in kept if session.intents & intent]
