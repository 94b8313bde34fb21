"""Anybody may call a webhook: a caller without a signature is refused in every case, and nothing else happens."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final
from urllib.parse import parse_qsl, urlencode

from hypothesis import example, given
from hypothesis import strategies as st

from daemon.webhooks import signatures
from daemon.webhooks.providers import FORM, JSON, MAX_KEY, Answer, Event, Refused, Request, WebhookChannel, examine
from proto.secrets import Secret
from tests.fuzz.strategies import DEEP, SECRET, documents, json_values, objects, words, written

NOW: Final = 1_752_232_847.0
URL: Final = "https://x.org/hooks/0123456789abcdef"
KEY: Final = Secret(SECRET)
CHANNELS: Final = (
    WebhookChannel("p", "sms", {"auth_token": KEY}),
    WebhookChannel("p", "whatsapp", {"app_secret": KEY, "verify_token": KEY}),
    WebhookChannel("p", "slack", {"signing_secret": KEY}),
    WebhookChannel("p", "telegram", {"webhook_secret": KEY}),
    WebhookChannel("p", "discord", {}),
)
_names = st.sampled_from(
    [
        *("content-type", "x-twilio-signature", "x-twilio-webhooks-signature-settings", "x-hub-signature-256"),
        *("x-slack-request-timestamp", "x-slack-signature", "x-telegram-bot-api-secret-token"),
    ]
)
_values = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=20),
    st.sampled_from(
        [JSON, FORM, "key=1,algorithm=HMAC_SHA256", "sha256=", "v0=", "1752232847", "9" * 13, "\u00b2", ""]
    ),
)
queries = st.text(st.characters(max_codepoint=255), max_size=40) | st.sampled_from(
    ["hub.mode=subscribe&hub.verify_token=x&hub.challenge=1", "bodySHA256=0", "&" * 600, "a=%ff%00&=", "\u00e9=%"]
)


@given(
    st.sampled_from(CHANNELS), st.sampled_from(["GET", "POST"]), queries, st.dictionaries(_names, _values), documents
)
@example(CHANNELS[1], "GET", "&" * 600, {}, b"")
@example(CHANNELS[1], "GET", "hub.mode=subscribe&hub.verify_token=" + "%00" * 200, {}, b"")
@example(CHANNELS[0], "POST", "", {"content-type": FORM}, b"&" * 600)
@example(CHANNELS[0], "POST", "&" * 600, {"content-type": JSON}, b"x")
@example(CHANNELS[2], "POST", "", {"content-type": JSON, "x-slack-request-timestamp": "\u00b2"}, b"")
def test_strangers(channel: WebhookChannel, method: str, query: str, headers: dict[str, str], body: bytes) -> None:
    """Without the secret: refused with a 4xx whose reason quotes neither the secret nor the body."""
    found = examine(channel, Request(method, f"{URL}?{query}" if query else URL, query, headers, body), NOW)
    assert isinstance(found, Refused)
    assert 400 <= found.status < 500
    assert SECRET not in found.reason


def digest(data: bytes) -> str:
    """What Meta and Slack sign with."""
    return hmac.new(SECRET.encode(), data, hashlib.sha256).hexdigest()


def signed(channel: WebhookChannel, body: bytes) -> Request:
    """The request as its provider sends it."""
    headers = {"content-type": JSON}
    match channel.provider:
        case "whatsapp":
            headers["x-hub-signature-256"] = f"sha256={digest(body)}"
        case "slack":
            headers["x-slack-request-timestamp"] = str(int(NOW))
            headers["x-slack-signature"] = f"v0={digest(b'v0:%d:' % int(NOW) + body)}"
        case "telegram":
            headers["x-telegram-bot-api-secret-token"] = SECRET
    return Request("POST", URL, "", headers, body)


_events = objects(
    {
        "update_id": st.integers(),
        "event_id": words,
        "type": st.sampled_from(["event_callback", "url_verification"]),
        "challenge": words,
        "event": json_values,
    }
)


@given(st.sampled_from(CHANNELS[1:4]), documents | _events.map(written))
@example(CHANNELS[2], written({"event_id": "\ud83d" * 10}))
@example(CHANNELS[2], written({"type": "url_verification", "challenge": "\ud83d\0"}))
@example(CHANNELS[2], b'{"event_id": "1", "x": ' + b"[" * DEEP)
@example(CHANNELS[3], b'{"update_id": %d}' % 10**200)
@example(CHANNELS[3], b'{"update_id": ' + b"9" * 5000 + b"}")
def test_providers(channel: WebhookChannel, body: bytes) -> None:
    """With the signature everything is kept, under a key that the ledger can hold and that a repetition has again."""
    found = examine(channel, signed(channel, body), NOW)
    assert not isinstance(found, Refused)
    assert found == examine(channel, signed(channel, body), NOW)
    if isinstance(found, Event):
        assert 0 < len(found.key) <= MAX_KEY
        found.key.encode()
    if isinstance(found, Answer):
        assert len(found.body) <= 4096


@given(st.dictionaries(words, words, max_size=5))
def test_twilio_forms(fields: dict[str, str]) -> None:
    """A form that Twilio signed is kept, whatever stands in it."""
    body = urlencode(fields, errors="replace").encode()
    pairs = parse_qsl(body.decode(), keep_blank_values=True)
    text = URL + "".join(name + value for name, value in sorted(set(pairs)))
    mac = base64.b64encode(hmac.new(SECRET.encode(), text.encode(), "sha1").digest()).decode()
    headers = {"content-type": FORM, "x-twilio-signature": mac}
    found = examine(CHANNELS[0], Request("POST", URL, "", headers, body), NOW)
    assert isinstance(found, Event)
    assert 0 < len(found.key) <= MAX_KEY


@given(_values, _values)
def test_settings_of_signatures(header: str, presented: str) -> None:
    """A signature's settings are read or unknown; what is presented is compared, whatever characters it has."""
    assert signatures.twilio_settings(header).digest in ("", "sha1", "sha256")
    assert not signatures.token(KEY, presented)
    assert not signatures.token(Secret(""), presented)
