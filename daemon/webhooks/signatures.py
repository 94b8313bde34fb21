"""The proofs that providers give for their webhook requests: pure functions over what came, byte for byte.

All comparisons take the same time whatever they are given.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from proto.secrets import Secret

SLACK_WINDOW: Final = 300
"""Seconds by which a request's time may differ from ours (Slack, verifying requests)."""

_PORTS: Final = {"http": 80, "https": 443}
_DIGESTS: Final = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}


def twilio(url: str, fields: Sequence[tuple[str, str]], key: Secret, presented: str, digest: str = "sha1") -> bool:
    """Whether this is Twilio's signature of a form at ``url``, the public one with its query (Twilio, security).

    Twilio signs the address sometimes with and sometimes without its port, so both are tried.
    """
    parameters = "".join(name + value for name, value in sorted(set(fields)))
    matches = [
        hmac.compare_digest(
            base64.b64encode(hmac.new(_bytes(key), (spelling + parameters).encode(), digest).digest()),
            presented.encode("latin-1", "replace"),
        )
        for spelling in _spellings(url)
    ]
    return any(matches)


def twilio_body(url: str, body: bytes) -> bool:
    """Whether the ``bodySHA256`` in the query is that of the body: of a body that is no form only the URL is signed."""
    told = dict(parse_qsl(urlsplit(url).query)).get("bodySHA256", "")
    return hmac.compare_digest(hashlib.sha256(body).hexdigest().encode(), told.lower().encode("latin-1", "replace"))


class TwilioSettings(NamedTuple):
    """How Twilio signed: by a ``shared`` key in place of the auth token or not; ``digest`` "" is an unknown way."""

    shared: bool
    digest: str


def twilio_settings(header: str) -> TwilioSettings:
    """Read ``X-Twilio-Webhooks-Signature-Settings``: ``key=<id>,algorithm=HMAC_SHA256``; without it, as ever."""
    pairs = (part.partition("=") for part in header.split(","))
    found = {name.strip(): value.strip() for name, _, value in pairs}
    return TwilioSettings("key" in found, _DIGESTS.get(found.get("algorithm", "HMAC_SHA1").upper(), ""))


def meta(body: bytes, app_secret: Secret, presented: str) -> bool:
    """Whether this is ``X-Hub-Signature-256`` of the body (Meta, webhooks, validating payloads)."""
    right = "sha256=" + hmac.new(_bytes(app_secret), body, "sha256").hexdigest()
    return _same(right, presented)


def slack(body: bytes, signing_secret: Secret, timestamp: str, presented: str, now: float) -> bool:
    """Whether this is Slack's v0 signature of the body, and a fresh one (Slack, verifying requests)."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    right = "v0=" + hmac.new(_bytes(signing_secret), b"v0:" + timestamp.encode() + b":" + body, "sha256").hexdigest()
    return _same(right, presented) and abs(now - int(timestamp)) <= SLACK_WINDOW


def token(right: Secret, presented: str) -> bool:
    """Whether this is the token that the provider was given; an empty one never is."""
    return bool(right.reveal()) and _same(right.reveal(), presented)


def _same(right: str, presented: str) -> bool:
    return hmac.compare_digest(right.encode(), presented.encode("latin-1", "replace"))


def _bytes(secret: Secret) -> bytes:
    return secret.reveal().encode()


def _spellings(url: str) -> list[str]:
    """The URL without a port and with one, as Twilio's own validator tries it."""
    parts = urlsplit(url)
    bare = parts.netloc.rpartition(":")[0] if parts.port else parts.netloc
    full = parts.netloc if parts.port else f"{parts.netloc}:{_PORTS.get(parts.scheme, 443)}"
    return [urlunsplit(parts._replace(netloc=netloc)) for netloc in (bare, full)]
