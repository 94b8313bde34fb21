"""The front: every route in one table, inside the layer that guards them all."""

from __future__ import annotations

from typing import Final

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp

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
from daemon.metrics import Requests
from daemon.openapi import openapi
from daemon.security import Guard
from daemon.state import Daemon
from daemon.tokens import Tokens

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


def build(daemon: Daemon) -> ASGIApp:
    """Build the application. Raises TokenError when the token file cannot be used."""
    app = Starlette(routes=ROUTES, exception_handlers=HANDLERS)
    # A route has one spelling; a redirect would be made of the request's own Host.
    app.router.redirect_slashes = False
    http = daemon.settings.http
    requests = Requests(Guard(app, http, daemon.settings.limits, Tokens(http.token_file), daemon.log))
    app.state.daemon = daemon
    app.state.requests = requests
    return requests
