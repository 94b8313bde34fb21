"""Each provider's rules: verify a webhook request, identify its event, and give the answer that the provider expects.

This reads no more of a body than the signature and the event's id need; the worker reads the messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from daemon.webhooks import signatures
from proto.gateways import GatewayType
from proto.secrets import Secret
from proto.unicode_text import valid_json

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
MAX_FIELDS: Final = 500
MAX_KEY: Final = 128

MAX_BODY: Final[Mapping[str, int]] = {
    "twilio": 131_072,
    "whatsapp": 3_145_728,
    "slack": 1_048_576,
    "telegram": 1_048_576,
}
"""Bytes. Meta's payloads may have 3 MB: https://developers.facebook.com/docs/whatsapp/cloud-api/guides/set-up-webhooks"""

NONE: Final = Secret("")

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a body that is not as documented."""


class WebhookChannel(NamedTuple):
    """A channel with webhooks: its persona and its account's credentials, which ``proto/README.md`` names."""

    persona: str
    type: GatewayType
    credentials: Mapping[str, Secret]

    @property
    def provider(self) -> str:
        """The provider that calls, or "" when none may. For WhatsApp the credentials decide: Meta or Twilio."""
        proof = {
            "sms": ("twilio", "auth_token"),
            "whatsapp": ("whatsapp", "app_secret") if "app_secret" in self.credentials else ("twilio", "auth_token"),
            "slack": ("slack", "signing_secret"),
            "telegram": ("telegram", "webhook_secret"),
        }
        provider, needed = proof.get(self.type, ("", ""))
        return provider if needed in self.credentials else ""


class Request(NamedTuple):
    """A webhook request. ``url`` is the public one with the unchanged query; header names are in lower case."""

    method: str
    url: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """Return a header's value, or "" without the header."""
        return self.headers.get(name, "")

    @property
    def content_type(self) -> str:
        """The content type without parameters."""
        return self.header("content-type").partition(";")[0].strip().lower()


class Refused(NamedTuple):
    """The request is refused with this status; ``reason`` is for the log."""

    status: int
    reason: str


class Answer(NamedTuple):
    """The answer that the provider expects."""

    body: bytes = b""
    content_type: str = ""


class Event(NamedTuple):
    """A verified request: ``key`` identifies its repetitions, ``answer`` is for when it is kept."""

    key: str
    answer: Answer


OK: Final = Answer()
TWIML: Final = Answer(b'<?xml version="1.0" encoding="UTF-8"?><Response/>', "text/xml")
"""An empty response: her messages are sent by REST."""


def methods(provider: str) -> tuple[str, ...]:
    """Return the HTTP methods that a provider uses."""
    return ("POST", "GET") if provider == "whatsapp" else ("POST",)


def examine(channel: WebhookChannel, request: Request, now: float) -> Refused | Answer | Event:
    """Verify a request. An ``Answer`` means that it is valid but holds no event. ``now`` is in epoch seconds."""
    match channel.provider:
        case "twilio":
            return _twilio(channel.credentials, request)
        case "whatsapp" if request.method == "GET":
            return _meta_check(channel.credentials, request)
        case "whatsapp":
            return _meta(channel.credentials, request)
        case "slack":
            return _slack(channel.credentials, request, now)
        case "telegram":
            return _telegram(channel.credentials, request)
        case _:
            return Refused(404, "this channel has no webhook")


def _twilio(credentials: Mapping[str, Secret], request: Request) -> Refused | Event:
    fields: list[tuple[str, str]] = []
    match request.content_type:
        case "application/x-www-form-urlencoded":
            try:
                text = request.body.decode()
                fields = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
            except ValueError:
                return Refused(403, "the form cannot be read")
        case "application/json":
            if not signatures.twilio_body(request.url, request.body):
                return Refused(403, "the body does not match the hash in the address")
        case other:
            return Refused(415, f"the body's type is {other or 'missing'}")
    shared, digest = signatures.twilio_settings(request.header("x-twilio-webhooks-signature-settings"))
    key = credentials.get("signing_key" if shared else "auth_token", NONE)
    if not digest or not key.reveal():
        return Refused(403, "the signature's method or key is unknown")
    if not signatures.twilio(request.url, fields, key, request.header("x-twilio-signature"), digest):
        return Refused(403, "the signature is not Twilio's for the public URL")
    form = dict(fields)
    sid, status = form.get("MessageSid") or form.get("SmsSid"), form.get("MessageStatus", "")
    return Event(_key(":".join(part for part in (sid, status) if part) if sid else "", request.body), TWIML)


def _meta(credentials: Mapping[str, Secret], request: Request) -> Refused | Event:
    if request.content_type != JSON:
        return Refused(415, f"the body's type is {request.content_type or 'missing'}")
    if not signatures.meta(request.body, credentials["app_secret"], request.header("x-hub-signature-256")):
        return Refused(403, "the signature is not Meta's")
    # A batch has no id. The inbox knows its messages by their own ids.
    return Event(_key("", request.body), OK)


def _meta_check(credentials: Mapping[str, Secret], request: Request) -> Refused | Answer:
    try:
        asked = dict(parse_qsl(request.query, max_num_fields=MAX_FIELDS))
    except ValueError:
        return Refused(403, "the query has too many fields")
    known = signatures.token(credentials.get("verify_token", NONE), asked.get("hub.verify_token", ""))
    if asked.get("hub.mode") != "subscribe" or not known:
        return Refused(403, "the verify token is not the configured one")
    return Answer(asked.get("hub.challenge", "")[:1024].encode(), "text/plain")


class _SlackFrame(msgspec.Struct):
    type: str | None = None
    challenge: str | None = None
    event_id: str | None = None


def _slack(credentials: Mapping[str, Secret], request: Request, now: float) -> Refused | Answer | Event:
    if request.content_type != JSON:
        return Refused(415, f"the body's type is {request.content_type or 'missing'}")
    timestamp, presented = request.header("x-slack-request-timestamp"), request.header("x-slack-signature")
    if not signatures.slack(request.body, credentials["signing_secret"], timestamp, presented, now):
        return Refused(403, "the signature is not Slack's, or not fresh")
    try:
        frame = msgspec.json.decode(valid_json(request.body), type=_SlackFrame)
    except _UNREADABLE:
        # It is Slack's, so it is kept, and the gateway says what is wrong with it.
        return Event(_key("", request.body), OK)
    if frame.type == "url_verification":
        return Answer((frame.challenge or "")[:1024].encode(), "text/plain")
    return Event(_key(frame.event_id or "", request.body), OK)


class _TelegramFrame(msgspec.Struct):
    update_id: int


def _telegram(credentials: Mapping[str, Secret], request: Request) -> Refused | Event:
    if request.content_type != JSON:
        return Refused(415, f"the body's type is {request.content_type or 'missing'}")
    if not signatures.token(credentials["webhook_secret"], request.header("x-telegram-bot-api-secret-token")):
        return Refused(403, "the secret token is not the configured one")
    try:
        frame = msgspec.json.decode(valid_json(request.body), type=_TelegramFrame)
    except _UNREADABLE:
        return Event(_key("", request.body), OK)
    return Event(_key(str(frame.update_id), request.body), OK)


def _key(event_id: str, body: bytes) -> str:
    """Return the provider's id of an event, otherwise a hash of the body."""
    return event_id if 0 < len(event_id) <= MAX_KEY else sha256(body).hexdigest()
