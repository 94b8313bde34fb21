"""The front: every route in one table, inside the layer that guards them all."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp

from daemon.api import config, health, history, lifecycle, logs, perception, personas, sockets
from daemon.api.errors import HANDLERS
from daemon.metrics import Requests
from daemon.openapi import openapi
from daemon.security import Guard
from daemon.state import Daemon
from daemon.tokens import Tokens


def build(daemon: Daemon) -> ASGIApp:
    """Build the application. Raises TokenError when the token file cannot be used."""
    app = Starlette(exception_handlers=HANDLERS)
    app.state.daemon = daemon
    # A route has one spelling; a redirect would be made of the request's own Host.
    app.router.redirect_slashes = False
    requests = Requests(Guard(app, daemon.settings.http, Tokens(daemon.settings.http.token_file)))
    app.router.routes.extend(routes(daemon, requests))
    return requests


def routes(daemon: Daemon, requests: Requests) -> list[BaseRoute]:
    """The table. It is searched from the top, so the route that is used most is first."""
    persona = "/api/persona/{persona_id}"
    return [
        Route(f"{persona}/read", perception.Read(daemon), methods=["POST"]),
        Route("/api/personas", personas.list_personas),
        Route("/api/config/providers", config.providers),
        Route("/api/persona/create", personas.create, methods=["POST"]),
        Route(f"{persona}/update", personas.update, methods=["POST"]),
        Route(f"{persona}/delete", personas.delete, methods=["POST"]),
        Route(f"{persona}/start", lifecycle.start, methods=["POST"]),
        Route(f"{persona}/stop", lifecycle.stop, methods=["POST"]),
        Route(f"{persona}/restart", lifecycle.restart, methods=["POST"]),
        Route(f"{persona}/sleep", lifecycle.sleep, methods=["POST"]),
        Route(f"{persona}/conversation", history.conversation),
        Route(f"{persona}/media/{{filename}}", history.media),
        Route("/api/status", health.status),
        Route("/api/logs", logs.logs),
        Route("/livez", health.livez),
        Route("/readyz", health.readyz),
        Route("/metrics", health.metrics(requests)),
        Route("/openapi.json", openapi),
        WebSocketRoute("/ws/system", sockets.system_socket),
        WebSocketRoute("/ws/{persona_id}", sockets.persona_socket),
        WebSocketRoute("/{path:path}", sockets.no_socket),
    ]
