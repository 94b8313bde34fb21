"""What each provider's webhook request must be, which event it is, and what the provider wants to hear.

Of a body this reads no more than the proof and the event's id need; its messages are the worker's business.
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
"""Bytes; Meta's batches may have three million (Meta, webhooks)."""

NONE: Final = Secret("")


class WebhookChannel(NamedTuple):
    """A channel that is called: whose it is, and its account's credentials, named as ``proto/README.md`` has them."""

    persona: str
    type: GatewayType
    credentials: Mapping[str, Secret]

    @property
    def provider(self) -> str:
        """Who calls: of WhatsApp it is Meta or Twilio, as the credentials tell; "" when nobody may."""
        proof = {
            "sms": ("twilio", "auth_token"),
            "whatsapp": ("whatsapp", "app_secret") if "app_secret" in self.credentials else ("twilio", "auth_token"),
            "slack": ("slack", "signing_secret"),
            "telegram": ("telegram", "webhook_secret"),
        }
        provider, needed = proof.get(self.type, ("", ""))
        return provider if needed in self.credentials else ""


class Request(NamedTuple):
    """A webhook request: ``url`` is the public one with the query as it came, header names are in lower case."""

    method: str
    url: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """A header's value, "" without it."""
        return self.headers.get(name, "")

    @property
    def content_type(self) -> str:
        """The content type without parameters."""
        return self.header("content-type").partition(";")[0].strip().lower()


class Refused(NamedTuple):
    """Not taken, with this status; ``reason`` is for the log."""

    status: int
    reason: str


class Answer(NamedTuple):
    """What the provider wants to hear."""

    body: bytes = b""
    content_type: str = ""


class Event(NamedTuple):
    """A request that is proven: what makes it the same one when it comes again, and the answer once it is kept."""

    key: str
    answer: Answer


OK: Final = Answer()
TWIML: Final = Answer(b'<?xml version="1.0" encoding="UTF-8"?><Response/>', "text/xml")
"""No answer in words: those go by REST."""


def methods(provider: str) -> tuple[str, ...]:
    """The methods that a provider uses."""
    return ("POST", "GET") if provider == "whatsapp" else ("POST",)


def examine(channel: WebhookChannel, request: Request, now: float) -> Refused | Answer | Event:
    """Check a request whole; an ``Answer`` is for one that holds no event. ``now`` is epoch seconds."""
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
            return Refused(404, "nobody may call this channel")


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
                return Refused(403, "the body is not the one that the address names")
        case other:
            return Refused(415, f"the body is {other or 'of no type'}")
    shared, digest = signatures.twilio_settings(request.header("x-twilio-webhooks-signature-settings"))
    key = credentials.get("signing_key" if shared else "auth_token", NONE)
    if not digest or not key.reveal():
        return Refused(403, "it is signed in a way, or by a key, that is not known here")
    if not signatures.twilio(request.url, fields, key, request.header("x-twilio-signature"), digest):
        return Refused(403, "the signature is not Twilio's for the public URL")
    form = dict(fields)
    sid, status = form.get("MessageSid") or form.get("SmsSid"), form.get("MessageStatus", "")
    return Event(_key(":".join(part for part in (sid, status) if part) if sid else "", request.body), TWIML)


def _meta(credentials: Mapping[str, Secret], request: Request) -> Refused | Event:
    if request.content_type != JSON:
        return Refused(415, f"the body is {request.content_type or 'of no type'}")
    if not signatures.meta(request.body, credentials["app_secret"], request.header("x-hub-signature-256")):
        return Refused(403, "the signature is not Meta's")
    # A batch has no id of its own; its messages are known by theirs in the inbox.
    return Event(_key("", request.body), OK)


def _meta_check(credentials: Mapping[str, Secret], request: Request) -> Refused | Answer:
    asked = dict(parse_qsl(request.query, max_num_fields=MAX_FIELDS))
    known = signatures.token(credentials.get("verify_token", NONE), asked.get("hub.verify_token", ""))
    if asked.get("hub.mode") != "subscribe" or not known:
        return Refused(403, "the verify token is not ours")
    return Answer(asked.get("hub.challenge", "")[:1024].encode(), "text/plain")


class _SlackFrame(msgspec.Struct):
    type: str = ""
    challenge: str = ""
    event_id: str = ""


def _slack(credentials: Mapping[str, Secret], request: Request, now: float) -> Refused | Answer | Event:
    if request.content_type != JSON:
        return Refused(415, f"the body is {request.content_type or 'of no type'}")
    timestamp, presented = request.header("x-slack-request-timestamp"), request.header("x-slack-signature")
    if not signatures.slack(request.body, credentials["signing_secret"], timestamp, presented, now):
        return Refused(403, "the signature is not Slack's, or not fresh")
    try:
        frame = msgspec.json.decode(request.body, type=_SlackFrame)
    except (msgspec.DecodeError, RecursionError):
        return Refused(403, "the body cannot be read")
    if frame.type == "url_verification":
        return Answer(frame.challenge[:1024].encode(), "text/plain")
    return Event(_key(frame.event_id, request.body), OK)


class _TelegramFrame(msgspec.Struct):
    update_id: int


def _telegram(credentials: Mapping[str, Secret], request: Request) -> Refused | Event:
    if request.content_type != JSON:
        return Refused(415, f"the body is {request.content_type or 'of no type'}")
    if not signatures.token(credentials["webhook_secret"], request.header("x-telegram-bot-api-secret-token")):
        return Refused(403, "the secret token is not ours")
    try:
        frame = msgspec.json.decode(request.body, type=_TelegramFrame)
    except (msgspec.DecodeError, RecursionError):
        return Refused(403, "the body cannot be read")
    return Event(str(frame.update_id), OK)


def _key(event_id: str, body: bytes) -> str:
    """The provider's id of an event, else what it says itself."""
    return event_id if 0 < len(event_id) <= MAX_KEY else sha256(body).hexdigest()
