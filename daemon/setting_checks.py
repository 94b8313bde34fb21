"""Checks of single settings: each takes a value and returns "" or, in words, what it must be."""

from __future__ import annotations

import re


def check_url(text: str) -> str:
    """Return "" for a base URL that a request can be built on, else what it must be."""
    from urllib.parse import urlsplit

    wanted = "must be a base URL such as https://api.example.org, without user, password, query or fragment"
    if re.search(r"[^\x21-\x7e]", text):
        return wanted
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return wanted
    odd = parts.username is not None or parts.password is not None or parts.query or parts.fragment
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or odd:
        return wanted
    return ""


def check_host(text: str) -> str:
    """Return "" for an address or a host name, else what it must be."""
    if _is_address(text) or re.fullmatch(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*", text):
        return ""
    return "must be one IP address or host name, without port, brackets or scheme"


def check_hosts(texts: tuple[str, ...]) -> str:
    """Return "" where every entry is an address or a host name, else what it must be."""
    return next((f"{fault} in each entry" for text in texts if (fault := check_host(text))), "")


def check_path(text: str) -> str:
    """Return "" for no path, an absolute one, or one under ``~``."""
    if "\0" in text or not (text == "" or text.startswith(("/", "~/"))):
        return "must be an absolute path, or one that begins with ~/"
    return ""


def _is_address(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a listener on ``host``."""
    import ipaddress

    if host == "localhost":
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback
