"""What a client needs to know before it makes a persona."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from daemon.http.answers import json_response
from daemon.startup.daemon import daemon_of


async def providers(request: Request) -> Response:
    """``GET /api/config/providers``: where each model provider answers."""
    urls = daemon_of(request).settings.providers
    return json_response(
        {
            "local": {"url": urls.local_url},
            "anthropic": {"url": urls.anthropic_url},
            "openai": {"url": urls.openai_url},
            "xai": {"url": urls.xai_url},
            "gemini": {"url": urls.gemini_url},
        }
    )
