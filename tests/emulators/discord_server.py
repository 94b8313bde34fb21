"""The Discord emulator's event loop: listening, outages, and what a test or a person makes happen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from tests.emulators.discord_gateway import Connection, Gateway
from tests.emulators.discord_journal import Journal
from tests.emulators.discord_limits import Limits
from tests.emulators.discord_objects import Bot, Channel, Message, Upload
from tests.emulators.discord_rest import Rest
from tests.emulators.discord_world import World
from tests.emulators.listening import stop_accepting


class Server:
    """The parts of Discord together; every method is called on the emulator's loop."""

    def __init__(self, port: int, control: list[Route]) -> None:
        self.world = World()
        self.journal = Journal()
        self.limits = Limits()
        self.gateway = Gateway(self.world, self.journal, self.cut)
        self.rest = Rest(self.world, self.journal, self.limits, self.gateway, self.cut)
        self.port = port
        self._listener: asyncio.Server | None = None
        self._state = ServerState()
        self._transports: dict[object, asyncio.Transport] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._turn: asyncio.Task[None] | None = None
        sockets = [WebSocketRoute("/gw", self.gateway.serve), WebSocketRoute("/gw-resume", self.gateway.serve)]
        app = Starlette(routes=[*control, *sockets, *self.rest.routes()])
        app.state.server = self
        self._config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", ws="websockets-sansio", ws_ping_interval=None
        )
        self._config.load()

    async def up(self) -> None:
        """Listen, always on the first port."""
        if self._timer:
            self._timer.cancel()
        if self._listener is None:
            # Not socket.create_server: its sockets lack a protocol number, and asyncio leaves Nagle's algorithm on.
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(self._protocol, "127.0.0.1", self.port)
            self.port = self._listener.sockets[0].getsockname()[1]
            self.world.base = f"http://127.0.0.1:{self.port}"

    async def down(self, seconds: float = 0.0) -> None:
        """Refuse connections and break the open ones, for this many seconds if given."""
        if self._listener is not None:
            await stop_accepting(self._listener)
            self._listener = None
        for connection in self.gateway.connected():
            self.gateway.drop(connection)
        for transport in list(self._transports.values()):
            transport.abort()
        self.journal.release()
        if seconds:
            self._later(seconds, self.up)

    def go_down_soon(self, seconds: float) -> None:
        """Go down for this many seconds, after the answer to the control request was sent."""
        self._later(0.05, lambda: self.down(seconds))

    async def stop(self) -> None:
        """Go down for good."""
        if self._timer:
            self._timer.cancel()
        await self.down()
        while self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=1.0)
            self.journal.release()

    def cut(self, client: object) -> None:
        """Break the TCP connection of a scope's client."""
        if transport := self._transports.get(client):
            transport.abort()

    def say(self, channel: Channel, text: str, uploads: list[Upload], **fields: Any) -> Message:
        """A person writes; ``fields`` (Any) are a message's own, such as ``flags``. Works while the server is down."""
        author = fields.pop("author", None) or channel.person
        if author is None:
            raise ValueError("a guild's channel has no person of its own: give author=")
        first = not channel.messages
        message = self.world.store(channel, author, text, uploads)
        for name, value in fields.items():
            setattr(message, name, value)
        if first and channel.person and self.rest.announce_channels:
            self.gateway.announce_channel(channel)
        self.gateway.announce(message)
        self.journal.ring()
        return message

    def edit(self, message: Message, text: str) -> None:
        """A person changes a message."""
        message.content, message.edited = text, datetime.now(UTC)
        self.gateway.announce(message, "MESSAGE_UPDATE")

    def dispatch(self, bot: Bot, event: str, data: object) -> None:
        """Send any event to a bot's connections."""
        for connection in self.gateway.connected(bot.token):
            if connection.session:
                self.gateway.dispatch(connection.session, event, data)

    def revoke(self, bot: Bot) -> None:
        """Make the token invalid: REST answers 401, and its gateways close with 4004."""
        bot.revoked = True
        self.close_gateways(bot.token, 4004)
        self.gateway.forget(bot.token)

    def close_gateways(self, token: str, code: int) -> int:
        """Close every gateway connection, of one token if given. Return how many there were."""
        connections = self.gateway.connected(token)
        for connection in connections:
            self.gateway.close(connection, code)
        return len(connections)

    def drop_gateways(self, token: str) -> int:
        connections = self.gateway.connected(token)
        for connection in connections:
            self.gateway.drop(connection)
        return len(connections)

    def reconnect(self, token: str) -> int:
        """Opcode 7."""
        return self._tell(token, 7, None)

    def invalidate(self, token: str, *, resumable: bool) -> int:
        """Opcode 9."""
        connections = self.gateway.connected(token)
        told = self._tell(token, 9, resumable)
        if not resumable:
            for connection in connections:
                if connection.session:
                    self.gateway.end(connection.session)
        return told

    def _tell(self, token: str, op: int, d: object) -> int:
        connections: list[Connection] = self.gateway.connected(token)
        for connection in connections:
            connection.post(op, d)
        return len(connections)

    def _later(self, seconds: float, turn: Callable[[], Coroutine[object, object, None]]) -> None:
        def start() -> None:
            self._turn = asyncio.ensure_future(turn())

        self._timer = asyncio.get_running_loop().call_later(seconds, start)

    def _protocol(self) -> H11Protocol:
        return _Protocol(self._transports, self._config, self._state)


class _Protocol(H11Protocol):
    """Remembers its transport, so that a fault can break the connection under a request or a WebSocket."""

    def __init__(self, transports: dict[object, asyncio.Transport], config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config, state, {})
        self._transports = transports

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn's class
        super().connection_made(transport)
        closed = [client for client, known in self._transports.items() if known.is_closing()]
        for client in closed:
            del self._transports[client]
        self._transports[self.client] = transport
