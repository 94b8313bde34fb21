"""Providers' signatures: the published vectors, and the providers' own packages as judges."""

from __future__ import annotations

import hashlib
import random
import string
import time

import pytest
from slack_sdk.signature import SignatureVerifier
from twilio.request_validator import RequestValidator, compare, get_signature_algorithm

from daemon.webhooks import signatures
from proto.secrets import Secret

TWILIO_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
TWILIO_FORM = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+12349013030"),
    ("Digits", "1234"),
    ("From", "+12349013030"),
    ("To", "+18005551212"),
]
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
    b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
    b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14"
    b"d10d2c447fce8b6703c"
)


def test_twilio_vector() -> None:
    """Twilio's documented signature, also for the URL with its port, but not for another URL, field or scheme."""
    key, right = Secret("12345"), "0/KCTR6DLpKmkAf8muzZqo1nDgQ="
    assert signatures.twilio(TWILIO_URL, TWILIO_FORM, key, right)
    assert signatures.twilio(TWILIO_URL, TWILIO_FORM[::-1], key, right)
    assert signatures.twilio(TWILIO_URL.replace(".com/", ".com:443/"), TWILIO_FORM, key, right)
    assert not signatures.twilio(TWILIO_URL.replace("https", "http"), TWILIO_FORM, key, right)
    assert not signatures.twilio(TWILIO_URL, [*TWILIO_FORM, ("Extra", "")], key, right)
    assert not signatures.twilio(TWILIO_URL, TWILIO_FORM, Secret("12346"), right)
    assert not signatures.twilio(TWILIO_URL, TWILIO_FORM, key, "é" + right)
    assert not signatures.twilio(TWILIO_URL, TWILIO_FORM, key, "")


@pytest.mark.parametrize("seed", range(12))
def test_twilio_judge(seed: int) -> None:
    """Twilio's own package signs the same, whatever the fields hold, with either digest."""
    chance = random.Random(seed)
    letters = string.ascii_letters + string.digits + " +&=%ä€🙂\n"
    fields = [
        (
            "".join(chance.choices(letters, k=chance.randint(1, 8))),
            "".join(chance.choices(letters, k=chance.randint(0, 40))),
        )
        for _ in range(chance.randint(0, 12))
    ]
    host = chance.choice(["example.org", "example.org:443", "example.org:8443"])
    url = f"https://{host}/hooks/{chance.randrange(16**16):016x}" + chance.choice(["", "?a=b", "?b=%20"])
    key = "".join(chance.choices(string.hexdigits, k=32))
    form = dict(fields)
    for algorithm in ("HMAC_SHA1", "HMAC_SHA256"):
        for signed in (url, url.replace(":8443", ""), url.replace("example.org/", "example.org:443/")):
            signature = RequestValidator(key).compute_signature(signed, form, algorithm)
            judged = RequestValidator(key).validate(url, form, signature, algorithm)
            digest = algorithm.removeprefix("HMAC_").lower()
            assert signatures.twilio(url, list(form.items()), Secret(key), signature, digest) == judged


def test_twilio_bodies_that_are_not_a_form() -> None:
    """A signed URL names a JSON body by its hash; Twilio's own package agrees."""
    body = b'{"property": "value", "boolean": true}'
    digest = hashlib.sha256(body).hexdigest()
    url = f"https://mycompany.com/myapp.php?bodySHA256={digest}"
    right = RequestValidator("12345").compute_signature(url, {})
    assert RequestValidator("12345").validate(url, body.decode(), right)
    assert compare(RequestValidator("12345").compute_hash(body.decode()), digest)
    assert signatures.twilio_body(url, body)
    assert signatures.twilio(url, [], Secret("12345"), right)
    assert not signatures.twilio_body(url, body + b" ")
    assert not signatures.twilio_body("https://mycompany.com/", body)


def test_twilio_settings_header() -> None:
    """The header that names SHA-256 and its key."""
    assert signatures.twilio_settings("key=SK1,algorithm=HMAC_SHA256") == (True, "sha256")
    assert signatures.twilio_settings("key=SK1") == (True, "sha1")
    assert signatures.twilio_settings("") == (False, "sha1")
    assert signatures.twilio_settings("key=SK1,algorithm=HMAC_MD5") == (True, "")
    for header in ("key=SK1,algorithm=HMAC_SHA256", " algorithm = HMAC_SHA256 ", "key=SK1", ""):
        judged = get_signature_algorithm(header).removeprefix("HMAC_").lower()
        assert signatures.twilio_settings(header).digest == judged


def test_meta_vector() -> None:
    """HMAC-SHA256 over the raw body, with its prefix."""
    right = "sha256=0329a06b62cd16b33eb6792be8c60b158d89a2ee3a876fce9a881ebb488c0914"
    assert signatures.meta(b"test", Secret("secret"), right)
    assert not signatures.meta(b"test ", Secret("secret"), right)
    assert not signatures.meta(b"test", Secret("secret"), right.removeprefix("sha256="))
    assert not signatures.meta(b"test", Secret("secret"), "")


def test_slack_vector() -> None:
    """Slack's documented signature, within five minutes of its time only."""
    key, at = Secret("8f742231b10e8888abcd99yyyzzz85a5"), "1531420618"
    right = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert signatures.slack(SLACK_BODY, key, at, right, 1531420618)
    assert signatures.slack(SLACK_BODY, key, at, right, 1531420618 + 300)
    assert not signatures.slack(SLACK_BODY, key, at, right, 1531420618 + 301)
    assert not signatures.slack(SLACK_BODY, key, at, right, 1531420618 - 301)
    assert not signatures.slack(SLACK_BODY + b" ", key, at, right, 1531420618)
    for odd in ("", "-1", "1e9", "١٢٣", "9" * 400):
        assert not signatures.slack(SLACK_BODY, key, odd, right, 1531420618)


def test_slack_judge() -> None:
    """Slack's own package signs the same."""
    now, body = int(time.time()), '{"type": "event_callback", "event": {"text": "ä€🙂"}}'
    signature = SignatureVerifier("shh").generate_signature(timestamp=str(now), body=body)
    assert signature
    assert signatures.slack(body.encode(), Secret("shh"), str(now), signature, now)


def test_tokens() -> None:
    """A token is compared whole; an unset one never matches."""
    assert signatures.token(Secret("a-token"), "a-token")
    assert not signatures.token(Secret("a-token"), "a-toke")
    assert not signatures.token(Secret(""), "")
