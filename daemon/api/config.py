"""What a client needs to know before it makes a persona."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.http.answers import json_response
from daemon.settings.sections import Providers


class ConfigRoutes:
    """``/api/config``; ``providers`` are the settings' addresses."""

    def __init__(self, *, providers: Providers) -> None:
        self._providers = providers

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/config/providers", self.providers)]

    async def providers(self, _request: Request) -> Response:
        """``GET /api/config/providers``: where each model provider answers."""
        urls = self._providers
        return json_response(
            {
                "local": {"url": urls.local_url},
                "anthropic": {"url": urls.anthropic_url},
                "openai": {"url": urls.openai_url},
                "xai": {"url": urls.xai_url},
                "gemini": {"url": urls.gemini_url},
            }
        )
