"""Providers' signatures of webhook requests: pure functions over the unchanged bytes.

All comparisons take constant time.
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
"""Seconds by which a request's time may differ from the daemon's.

https://api.slack.com/authentication/verifying-requests-from-slack
"""

_PORTS: Final = {"http": 80, "https": 443}
_DIGESTS: Final = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}


def twilio(url: str, fields: Sequence[tuple[str, str]], key: Secret, presented: str, digest: str = "sha1") -> bool:
    """Return whether this is Twilio's signature of a form at ``url``, the public address with its query.

    Twilio signs the address sometimes with and sometimes without its port, so both are tried:
    https://www.twilio.com/docs/usage/webhooks/webhooks-security
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
    """Return whether ``bodySHA256`` in the query matches the body.

    If the body is not a form, Twilio signs only the URL: https://www.twilio.com/docs/usage/webhooks/webhooks-security
    """
    claimed = dict(parse_qsl(urlsplit(url).query)).get("bodySHA256", "")
    return hmac.compare_digest(hashlib.sha256(body).hexdigest().encode(), claimed.lower().encode("latin-1", "replace"))


class TwilioSettings(NamedTuple):
    """How Twilio signed: with a ``shared`` key or with the auth token; ``digest`` is "" for an unknown algorithm."""

    shared: bool
    digest: str


def twilio_settings(header: str) -> TwilioSettings:
    """Read ``X-Twilio-Webhooks-Signature-Settings``: ``key=<id>,algorithm=HMAC_SHA256``. The default is HMAC-SHA1."""
    pairs = (part.partition("=") for part in header.split(","))
    found = {name.strip(): value.strip() for name, _, value in pairs}
    return TwilioSettings("key" in found, _DIGESTS.get(found.get("algorithm", "HMAC_SHA1").upper(), ""))


def meta(body: bytes, app_secret: Secret, presented: str) -> bool:
    """Return whether this is the ``X-Hub-Signature-256`` of the body.

    https://developers.facebook.com/docs/graph-api/webhooks/getting-started#validate-payloads
    """
    right = "sha256=" + hmac.new(_bytes(app_secret), body, "sha256").hexdigest()
    return _same(right, presented)


def slack(body: bytes, signing_secret: Secret, timestamp: str, presented: str, now: float) -> bool:
    """Return whether this is Slack's v0 signature of the body, and fresh.

    https://api.slack.com/authentication/verifying-requests-from-slack
    """
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    right = "v0=" + hmac.new(_bytes(signing_secret), b"v0:" + timestamp.encode() + b":" + body, "sha256").hexdigest()
    return _same(right, presented) and abs(now - int(timestamp)) <= SLACK_WINDOW


def token(right: Secret, presented: str) -> bool:
    """Return whether this is the token that the provider was given. An empty one never matches."""
    return bool(right.reveal()) and _same(right.reveal(), presented)


def _same(right: str, presented: str) -> bool:
    return hmac.compare_digest(right.encode(), presented.encode("latin-1", "replace"))


def _bytes(secret: Secret) -> bytes:
    return secret.reveal().encode()


def _spellings(url: str) -> list[str]:
    """Return the URL without a port and with one, which is what Twilio's own validator tries."""
    parts = urlsplit(url)
    bare = parts.netloc.rpartition(":")[0] if parts.port else parts.netloc
    full = parts.netloc if parts.port else f"{parts.netloc}:{_PORTS.get(parts.scheme, 443)}"
    return [urlunsplit(parts._replace(netloc=netloc)) for netloc in (bare, full)]
