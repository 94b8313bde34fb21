"""Checks of single settings. Each takes a value and returns "", or a text that says what the value must be."""

from __future__ import annotations

import re


def check_url(text: str) -> str:
    """Return "" for a base URL that requests can be built on, else what it must be."""
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
    """Return "" when every entry is an address or a host name, else what it must be."""
    return next((f"{fault} in each entry" for text in texts if (fault := check_host(text))), "")


def check_networks(texts: tuple[str, ...]) -> str:
    """Return "" when every entry is an IP address or a network of them, else what it must be."""
    import ipaddress

    for text in texts:
        try:
            ipaddress.ip_network(text)
        except ValueError:
            return "must hold IP addresses, or networks such as 10.1.0.0/16 without bits after the prefix"
    return ""


def check_path(text: str) -> str:
    """Return "" for no path, an absolute one, or one under ``~``, else what it must be."""
    if "\0" in text or not (text == "" or text.startswith(("/", "~/"))):
        return "must be an absolute path, or one that begins with ~/"
    return ""


def check_optional_url(text: str) -> str:
    """Return "" for no URL or a base URL, else what it must be."""
    return check_url(text) if text else ""


def check_keys_url(text: str) -> str:
    """Return "" for no URL, or one whose answer cannot be changed in transit, else what it must be."""
    from urllib.parse import urlsplit

    fault = check_optional_url(text)
    if not fault and text and urlsplit(text).scheme != "https" and not is_loopback(urlsplit(text).hostname or ""):
        return "must begin with https://, because anyone who can change its answer in transit could sign tokens"
    return fault


def check_text(text: str) -> str:
    """Return "" for a text of one line, else what it must be."""
    if len(text) > 500 or any(not character.isprintable() for character in text) or text != text.strip():
        return "must be one line of at most 500 printable characters, without spaces at either end"
    return ""


def check_credential(text: str) -> str:
    """Return "" for no file, a file's path or the name of a systemd credential, else what it must be."""
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}", text) or not check_path(text):
        return ""
    return "must be the path of a file, absolute or beginning with ~/, or the name of a systemd credential"


def check_phones(texts: tuple[str, ...]) -> str:
    """Return "" when every entry is a phone number, else what it must be."""
    if all(re.fullmatch(r"\+[1-9][0-9]{1,14}", text) for text in texts):
        return ""
    return "must hold phone numbers in E.164, such as +491701234567"


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
