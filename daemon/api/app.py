"""The front: every group of routes in one table, inside the layers that guard them all."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Final, Protocol

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from daemon.api import channels
from daemon.api.errors import HANDLERS
from daemon.api.v1 import channels as v1_channels
from daemon.api.v1 import conversations as v1_conversations
from daemon.api.v1.door import Door
from daemon.api.v1.idempotency import Keys
from daemon.api.v1.problems import HANDLERS as V1_HANDLERS
from daemon.http.counting import Counted
from daemon.http.security import Guard, is_v1
from daemon.http.tokens import Tokens
from daemon.startup.daemon import Daemon

PERSONA: Final = "/api/persona/{persona_id}"

CHANNEL_ROUTES: Final[tuple[BaseRoute, ...]] = (
    Route(f"{PERSONA}/channels", channels.add, methods=["POST"]),
    # A name may hold anything that an account's handle can, also an encoded slash.
    Route(f"{PERSONA}/channels/{{channel_name:path}}", channels.remove, methods=["DELETE"]),
    Route(f"{PERSONA}/pair", channels.pair, methods=["POST"]),
)

CHANNELS: Final = "/v1/channels"
CHANNEL: Final = f"{CHANNELS}/{{channel_id}}"

V1_ROUTES: Final[tuple[BaseRoute, ...]] = (
    Route(CHANNELS, v1_channels.list_channels),
    Route(CHANNELS, v1_channels.create, methods=["POST"]),
    Route(CHANNEL, v1_channels.show),
    Route(CHANNEL, v1_channels.update, methods=["PATCH"]),
    Route(CHANNEL, v1_channels.delete, methods=["DELETE"]),
    Route(f"{CHANNEL}/pause", v1_channels.pause, methods=["POST"]),
    Route(f"{CHANNEL}/resume", v1_channels.resume, methods=["POST"]),
    Route(f"{CHANNEL}/test", v1_channels.test, methods=["POST"]),
    Route(f"{CHANNEL}/conversations", v1_conversations.list_conversations),
    Route(f"{CHANNEL}/conversations/{{conversation_id}}/messages", v1_conversations.list_messages),
)


class RouteGroup(Protocol):
    """The routes of one page of the documents."""

    def routes(self) -> list[BaseRoute]:
        """In the order in which they are searched."""


def table(groups: Iterable[RouteGroup]) -> list[BaseRoute]:
    """All routes. Starlette searches them from the top: the group that is used most comes first."""
    return [route for group in groups for route in group.routes()]


def build(groups: Iterable[RouteGroup], daemon: Daemon, request_counts: Counter[tuple[str, str, int]]) -> ASGIApp:
    """Build the application. Raises TokenError and SettingsError when a file that it needs cannot be used."""
    app = Starlette(routes=[*table(groups), *CHANNEL_ROUTES], exception_handlers=HANDLERS)
    v1 = Starlette(routes=V1_ROUTES, exception_handlers=V1_HANDLERS)
    http = daemon.settings.http
    doors = Doors(app, Door(v1, daemon.settings, daemon.log))
    guard = Guard(doors, http, daemon.settings.limits, Tokens(http.token_file), daemon.log)
    for each in (app, v1):
        # A route has one spelling; a redirect would be made of the request's own Host.
        each.router.redirect_slashes = False
        each.state.daemon = daemon
    v1.state.idempotency = Keys()
    v1.state.updating = asyncio.Lock()
    return Counted(guard, request_counts)


class Doors:
    """Hands what is under ``/v1`` to its own door, and everything else to the persona API."""

    def __init__(self, api: ASGIApp, v1: ASGIApp) -> None:
        self._api = api
        self._v1 = v1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._v1 if is_v1(scope) else self._api)(scope, receive, send)
