"""The front: every route in one table, inside the layer that guards them all."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from daemon.api import (
    channels,
    config,
    export,
    feed,
    health,
    history,
    knowledge,
    lifecycle,
    logs,
    perception,
    personas,
    sockets,
    uploads,
)
from daemon.api.errors import HANDLERS
from daemon.api.metrics import Requests
from daemon.api.openapi import openapi
from daemon.api.v1 import channels as v1_channels
from daemon.api.v1 import conversations as v1_conversations
from daemon.api.v1.door import Door
from daemon.api.v1.idempotency import Keys
from daemon.api.v1.problems import HANDLERS as V1_HANDLERS
from daemon.http.security import Guard, is_v1
from daemon.http.tokens import Tokens
from daemon.startup.daemon import Daemon

PERSONA: Final = "/api/persona/{persona_id}"

# Searched from the top: the route that is used most is first.
ROUTES: Final[tuple[BaseRoute, ...]] = (
    Route(f"{PERSONA}/read", perception.Read(), methods=["POST"]),
    Route(f"{PERSONA}/hear", uploads.hear, methods=["POST"]),
    Route(f"{PERSONA}/attach", uploads.attach, methods=["POST"]),
    Route(f"{PERSONA}/feed", feed.feed, methods=["POST"]),
    Route("/api/personas", personas.list_personas),
    Route("/api/config/providers", config.providers),
    Route("/api/persona/create", personas.create, methods=["POST"]),
    Route("/api/persona/restore", export.restore, methods=["POST"]),
    Route(f"{PERSONA}/update", personas.update, methods=["POST"]),
    Route(f"{PERSONA}/delete", personas.delete, methods=["POST"]),
    Route(f"{PERSONA}/start", lifecycle.start, methods=["POST"]),
    Route(f"{PERSONA}/stop", lifecycle.stop, methods=["POST"]),
    Route(f"{PERSONA}/restart", lifecycle.restart, methods=["POST"]),
    Route(f"{PERSONA}/sleep", lifecycle.sleep, methods=["POST"]),
    Route(f"{PERSONA}/channels", channels.add, methods=["POST"]),
    # A name may hold anything that an account's handle can, also an encoded slash.
    Route(f"{PERSONA}/channels/{{channel_name:path}}", channels.remove, methods=["DELETE"]),
    Route(f"{PERSONA}/pair", channels.pair, methods=["POST"]),
    Route(f"{PERSONA}/conversation", history.conversation),
    Route(f"{PERSONA}/export", export.export),
    Route(f"{PERSONA}/knowledge", knowledge.knowledge),
    Route(f"{PERSONA}/media/{{filename}}", history.media),
    Route("/api/status", health.status),
    Route("/api/logs", logs.logs),
    Route("/livez", health.livez),
    Route("/readyz", health.readyz),
    Route("/metrics", health.metrics),
    Route("/openapi.json", openapi),
    WebSocketRoute("/ws/system", sockets.system_socket),
    WebSocketRoute("/ws/{persona_id}", sockets.persona_socket),
    WebSocketRoute("/{path:path}", sockets.no_socket),
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


def build(daemon: Daemon) -> ASGIApp:
    """Build the application. Raises TokenError and SettingsError when a file that it needs cannot be used."""
    app = Starlette(routes=ROUTES, exception_handlers=HANDLERS)
    v1 = Starlette(routes=V1_ROUTES, exception_handlers=V1_HANDLERS)
    http = daemon.settings.http
    doors = Doors(app, Door(v1, daemon.settings, daemon.log))
    requests = Requests(Guard(doors, http, daemon.settings.limits, Tokens(http.token_file), daemon.log))
    for each in (app, v1):
        # A route has one spelling; a redirect would be made of the request's own Host.
        each.router.redirect_slashes = False
        each.state.daemon = daemon
        each.state.requests = requests
    v1.state.idempotency = Keys()
    v1.state.updating = asyncio.Lock()
    return requests


class Doors:
    """Hands what is under ``/v1`` to its own door, and everything else to the persona API."""

    def __init__(self, api: ASGIApp, v1: ASGIApp) -> None:
        self._api = api
        self._v1 = v1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._v1 if is_v1(scope) else self._api)(scope, receive, send)
