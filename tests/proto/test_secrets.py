"""Redaction: what looks like a credential is masked, ordinary words stay."""

from __future__ import annotations

import json

import pytest

from proto.secrets import MASK, Secret, redact

TELEGRAM = "123456789:AAHfiqksKZ8WmR2zMmGCnVxgcbDeFgHiJkL"
DISCORD = "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs1234567890"
OPENAI = "sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z"
ANTHROPIC = "sk-ant-api03-Zz9_Yy8-Xx7Ww6Vv5Uu4Tt3Ss2Rr1Qq0"
XAI = "xai-1a2B3c4D5e6F7g8H9i0J1k2L3m4N5o6P"
GEMINI = "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY"
SLACK = "xoxb-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx"
SLACK_APP = "xapp-1-A0123456789-1234567890123-abcdef0123456789abcdef"
WHATSAPP = "EAAGm0PX4ZCpsBAKZCZCabcdefghijklmnopqrstuvwxyz0123456789"
OWN = "personad_q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQ"

SECRETS = [TELEGRAM, DISCORD, OPENAI, ANTHROPIC, XAI, GEMINI, SLACK, SLACK_APP, WHATSAPP, OWN]

PLACES = [
    "{}",
    "https://api.example.org/bot{}/getMe",
    "https://api.example.org/v1?key={}&page=2",
    "Authorization: Bearer {}",
    "Sec-WebSocket-Protocol: bearer.{}",
    "x-api-key: {}",
    "client = Client(api_key='{}', timeout=5)",
    'ValueError: refused: {}\n  File "x.py", line 3, in get',
    "({})",
    "key={} ",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("place", PLACES)
def test_a_credential_is_masked_wherever_it_stands(secret: str, place: str) -> None:
    """URLs, headers, reprs and tracebacks lose the credential and keep the rest of their text."""
    text = redact(place.format(secret))

    assert secret not in text
    assert secret[-12:] not in text
    assert MASK in text
    for word in place.replace("{}", " ").split():
        assert word.strip("()'") in text


@pytest.mark.parametrize("secret", SECRETS)
def test_a_credential_is_masked_in_json_and_in_json_within_json(secret: str) -> None:
    """A record that was logged as JSON, once or twice encoded, shows no credential."""
    record = json.dumps({"channel": {"credentials": {"token": secret}}, "name": "Adam"})

    for text in (record, json.dumps(record)):
        assert secret not in redact(text)
        assert "Adam" in redact(text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"api_key": "hunter2-hunter2"}', '{"api_key": "***"}'),
        ("{'password': 'correct horse'}", "{'password': '***'}"),
        ("https://adam:hunter2@db.example.org/x", "https://***@db.example.org/x"),
        ("Authorization: Basic QWRhbTpodW50ZXIyaHVudGVy", "Authorization: Basic ***"),
        ('{"password": "password"}', '{"password": "***"}'),
        ("/hook?token=abcdef123&x=1", "/hook?token=***&x=1"),
        ("https://hooks.slack.com/services/T000/B000/XXXXXXXX", "https://hooks.slack.com/***"),
    ],
)
def test_a_secret_without_a_form_of_its_own_is_known_by_its_neighbour(text: str, kept: str) -> None:
    """Passwords and unknown keys are masked because of the name in front of them."""
    assert redact(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "worker.exited persona=6c17c83c-3158-450d-8e43-0e7efea717c1 generation=12 pid=4711",
        "2026-11-22T09:48:15.929Z it took 12:30:59, port 127.0.0.1:5000",
        "risk-assessment-of-2026 and sk-learn-contrib and task-1234567890",
        "max_tokens=4096 first_token_timeout=60.0 total_tokens: 123456",
        "unexpected token: expected a comma; the keyword argument 'api_key' is missing",
        "the bearer of this letter; a basic understanding; secretary",
        "daemon.supervisor.keeper.Keeper.start_worker_and_wait_until_ready",
        "the token file is group-readable: chmod 600 /etc/personad/token",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    """Ids, times, addresses and prose are not credentials."""
    assert redact(text) == text


def test_redacted_json_stays_json() -> None:
    """Signals and events are redacted as whole documents, so the syntax of a document must never be masked."""
    words = [
        "http://a",
        "x@y",
        "token",
        "Bearer",
        "api_key",
        "secret=",
        "password",
        "://",
        "a:b@c",
        TELEGRAM,
        OPENAI,
        "\\",
        '"',
        "key: ",
    ]
    for one in words:
        for other in words:
            document = {one: other, "list": [one, other, {one: one + other}], "text": f"{one} {other} {one}{other}"}
            for text in (json.dumps(document), json.dumps(document, separators=(",", ":"))):
                assert isinstance(json.loads(redact(text)), dict)
                assert isinstance(json.loads(json.loads(redact(json.dumps(text)))), dict)


def test_a_secret_does_not_print_itself() -> None:
    """Neither repr, str nor an f-string of a Secret shows its text."""
    secret = Secret(OPENAI)

    assert OPENAI not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == OPENAI
