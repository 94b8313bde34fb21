"""The front: every group of routes in one table, inside the layers that guard them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from daemon.api.errors import HANDLERS
from daemon.api.openai.refusals import handlers as openai_handlers
from daemon.api.v1.authentication import Authentication
from daemon.api.v1.problems import handlers
from daemon.http.counting import Counted
from daemon.http.openai_errors import is_openai
from daemon.http.refused_tokens import RefusedTokens
from daemon.http.security import Guard, is_v1
from daemon.http.tokens import Tokens
from daemon.logging.log import Log
from daemon.runtime.tasks import Tasks
from daemon.settings.settings import Settings


class RouteGroup(Protocol):
    """The routes of one page of the documents."""

    def routes(self) -> list[BaseRoute]:
        """In the order in which they are searched."""


def table(groups: Iterable[RouteGroup]) -> list[BaseRoute]:
    """All routes. Starlette searches them from the top: the group that is used most comes first."""
    return [route for group in groups for route in group.routes()]


def build(
    api: Iterable[RouteGroup],
    v1: Iterable[RouteGroup],
    openai: Iterable[RouteGroup],
    *,
    settings: Settings,
    request_counts: Counter[tuple[str, str, int]],
    tasks: Tasks,
    log: Log,
) -> ASGIApp:
    """Build the application. Raises TokenError and SettingsError when a file that it needs cannot be used."""
    persona_api = Starlette(routes=table(api), exception_handlers=HANDLERS)
    open_api = Starlette(routes=table(v1), exception_handlers=handlers(log))
    openai_api = Starlette(routes=table(openai), exception_handlers=openai_handlers(log))
    for each in (persona_api, open_api, openai_api):
        # A route has one spelling; a redirect would be made of the request's own Host.
        each.router.redirect_slashes = False
    refused = RefusedTokens(tasks, log)
    doors = Doors(persona_api, Authentication(V1Doors(open_api, openai_api), settings, refused, log))
    guard = Guard(doors, settings.http, settings.limits, Tokens(settings.http.token_file), refused, log)
    return Counted(guard, request_counts)


class Doors:
    """Hands what is under ``/v1`` to its own door, and everything else to the persona API."""

    def __init__(self, api: ASGIApp, v1: ASGIApp) -> None:
        self._api = api
        self._v1 = v1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._v1 if is_v1(scope) else self._api)(scope, receive, send)


class V1Doors:
    """Hands what is OpenAI's API to the door for it, and everything else under ``/v1`` to that of open channels."""

    def __init__(self, channels: ASGIApp, openai: ASGIApp) -> None:
        self._channels = channels
        self._openai = openai

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._openai if is_openai(scope) else self._channels)(scope, receive, send)
