"""The proxy that the environment sets for a host, as the HTTP clients of gateways and minds follow it.

``HTTPS_PROXY`` and ``NO_PROXY`` count, ``ALL_PROXY`` does not
(https://docs.aiohttp.org/en/stable/client_advanced.html#proxy-support). aiohttp speaks HTTP to any proxy, so one that
speaks another protocol must be refused before the first request.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

HINT: Final = "Set HTTPS_PROXY to an http:// proxy, or name the host in NO_PROXY; then restart personad."


def proxy_for(url: str) -> str | None:
    """Return the proxy for this URL, None for a direct connection, as to any address without TLS."""
    address = urlsplit(url)
    if address.scheme != "https" or proxy_bypass(address.hostname or ""):
        return None
    return getproxies().get(address.scheme)


def unspoken(url: str) -> str:
    """Say why the proxy for this URL cannot be used, "" if it can or there is none.

    The proxy's address is not named: it may hold a password.
    """
    scheme = urlsplit(proxy_for(url) or "http:").scheme.lower()
    return "" if scheme in ("", "http", "https") else f"HTTPS_PROXY names a {scheme} proxy, which is not supported."
