"""The base URLs of remote organs, in the form that their clients need."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from proto.records import EMBEDDED, Organ
from worker.base.organ_errors import OrganConfigError

LOCAL: Final = "local"
"""The settings' name for the local inference engine, whose provider is null in a record."""

PROVIDERS: Final = ("openai", "anthropic", "xai", "gemini")

_VERSIONED: Final = re.compile(r"/v\d+(?:(?:alpha|beta)\d*)?(?:/|\Z)")


def base_url(organ: Organ, urls: Mapping[str, str]) -> str:
    """Return a remote organ's base URL. Raises OrganConfigError when it has no model name or an unknown provider."""
    if not organ.name.strip():
        raise OrganConfigError("No model available. Please provide a model name.")
    if organ.provider not in (None, LOCAL, *PROVIDERS):
        raise OrganConfigError(
            f"There is no provider {organ.provider!r}. Use one of {', '.join(PROVIDERS)} or {EMBEDDED}, leave it out "
            "for the local inference engine, or use openai with a url for any OpenAI-compatible server."
        )
    return organ.url or urls.get(organ.provider or LOCAL, "")


def versioned_url(url: str) -> str:
    """Return an OpenAI base URL: ``/v1`` is added unless the path has a version, as in Gemini's ``/v1beta/openai``.

    Raises OrganConfigError when the url is invalid.
    """
    url = _checked(url)
    return url if _VERSIONED.search(urlsplit(url).path) else f"{url}/v1"


def bare_url(url: str) -> str:
    """Return an Anthropic base URL without a version, because the SDK adds it. Raises OrganConfigError if invalid."""
    return _checked(url).removesuffix("/v1")


def _checked(url: str) -> str:
    if not _is_usable(url.strip()):
        raise OrganConfigError(f"The url of an organ must be http:// or https:// with a host, not {url!r}.")
    return url.strip().rstrip("/")


def _is_usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        # An open bracket, or a port over 65535.
        return False
