"""The two WebSockets: one persona's chat and signals, and the signals of all.

The socket of a read-only token listens, and does not open her web channel.
``?after=SEQ`` replays what came after the last frame that a client has. What a client sends is read and ignored.
Close codes: 1000 she was deleted, 1012 the daemon stops, 1013 too slow; all but the first are worth reconnecting.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine
from typing import Final

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from daemon.conversations.hubs import Hubs, HubsRefusal, Socket, SocketClosed
from daemon.http.answers import problem
from daemon.http.security import SUBPROTOCOL, reads_only
from daemon.personas.personas import Personas

SEND_TIMEOUT: Final = 10.0
"""Seconds after which a socket that takes no frame is dropped."""
CLOSE_TIMEOUT: Final = 1.0

_SEQ: Final = re.compile(r"[0-9]{1,18}")


class SocketGone(Exception):
    """One side is done, so the other has nothing left to do."""


class SocketRoutes:
    """The sockets. Their last route takes every other path, so this group comes last in the table."""

    def __init__(self, *, personas: Personas, hubs: Hubs) -> None:
        self._personas = personas
        self._hubs = hubs

    def routes(self) -> list[BaseRoute]:
        return [
            WebSocketRoute("/ws/system", self.system_socket),
            WebSocketRoute("/ws/{persona_id}", self.persona_socket),
            WebSocketRoute("/{path:path}", self.no_socket),
        ]

    async def persona_socket(self, websocket: WebSocket) -> None:
        """``/ws/{persona_id}``: her chat frames and signals; opens her web channel when she runs."""
        persona_id = websocket.path_params["persona_id"]
        if self._personas.get(persona_id) is None:
            await _deny(websocket, 404, "Persona not found.")
        else:
            await self._serve(websocket, persona_id)

    async def system_socket(self, websocket: WebSocket) -> None:
        """``/ws/system``: the signals of all personas."""
        await self._serve(websocket, None)

    async def no_socket(self, websocket: WebSocket) -> None:
        """There is no such socket."""
        await _deny(websocket, 404, "There is no such socket: open /ws/{persona_id} or /ws/system.")

    async def _serve(self, websocket: WebSocket, persona_id: str | None) -> None:
        hubs = self._hubs
        after = websocket.query_params.get("after")
        if after is not None and not _SEQ.fullmatch(after):
            await _deny(
                websocket, 400, "after must be the seq of the last frame you have: a number of up to 18 digits."
            )
            return
        try:
            socket = hubs.connect(persona_id, opens=not reads_only(websocket))
        except HubsRefusal as refusal:
            await _deny(websocket, 503, str(refusal), {"retry-after": "5"})
            return
        try:
            await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in websocket.scope["subprotocols"] else None)
            missed = hubs.replay(socket, int(after)) if after is not None else None
            async with asyncio.TaskGroup() as both:
                both.create_task(_send_frames(websocket, socket, missed))
                both.create_task(_ignore_client(websocket))
        except* (SocketGone, WebSocketDisconnect, WebSocketDisconnected):
            # Either side closed it, or it does not take its frames.
            pass
        finally:
            hubs.disconnect(socket)


async def _send_frames(websocket: WebSocket, socket: Socket, missed: AsyncIterator[str] | None) -> None:
    try:
        if missed is not None:
            async for frame in missed:
                await _within(SEND_TIMEOUT, websocket.send_text(frame))
        while True:
            for frame in await socket.get():
                await _within(SEND_TIMEOUT, websocket.send_text(frame))
    except SocketClosed as closed:
        await _within(CLOSE_TIMEOUT, websocket.close(closed.code, closed.reason))
        raise SocketGone from closed


async def _within(seconds: float, sending: Coroutine[object, object, None]) -> None:
    """Raise SocketGone when the peer takes nothing for so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await sending
    except TimeoutError as error:
        raise SocketGone from error


async def _ignore_client(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
    raise SocketGone


async def _deny(websocket: WebSocket, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
    await websocket.send_denial_response(problem(status, detail, headers))
