"""Counts requests by method, route and status."""

from __future__ import annotations

from collections import Counter

from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.http.security import RESPONSE_STARTS


class Counted:
    """The ASGI layer around everything; it adds to ``counts``."""

    def __init__(self, app: ASGIApp, counts: Counter[tuple[str, str, int]]) -> None:
        self.app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            kind = message["type"]
            if kind in RESPONSE_STARTS:
                self._count(scope, message["status"])
            elif kind == "websocket.accept":
                self._count(scope, 101)
            await send(message)

        await self.app(scope, receive, counted)

    def _count(self, scope: Scope, status: int) -> None:
        # Never the path itself: anybody could make as many of them as there is memory.
        route = scope.get("route")
        path = route.path_format if isinstance(route, Route | WebSocketRoute) else ""
        self._counts[scope.get("method", "GET"), path, status] += 1
