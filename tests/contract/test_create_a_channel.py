"""Create a channel: ``POST /v1/channels``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import httpx
import pytest

from tests.contract.bots import new_bot
from tests.contract.server import Server
from tests.providers import Telegram

NULLABLE: Final = ("systemPromptId", "modelId", "welcomeMessage", "lastError", "lastErrorAt", "lastMessageAt")
REQUIRED: Final = (
    *("id", "organizationId", "name", "channelType", "webhookUrl", "systemPromptId", "modelId", "datasetIds"),
    *("welcomeMessage", "fallbackMessage", "status", "lastError", "lastErrorAt", "conversationCount"),
    *("messageCount", "lastMessageAt", "createdAt", "updatedAt"),
)
"""The response's fields that are "required", in its order; phoneNumber follows and is not."""

Body = Mapping[str, object]
Create = Callable[[Body], dict[str, Any]]
"""Create a channel and return the response (Any: JSON)."""


@pytest.fixture
def reception(server: Server, eve: str) -> Server:
    """The server with a token, and a persona behind its channels."""
    if not server.token:
        pytest.skip("/v1 needs a bearer token: give --token-file FILE")
    return server


@pytest.fixture
def create(reception: Server) -> Iterator[Create]:
    """Create channels; they are deleted after the test."""
    made: list[str] = []

    def create(body: Body) -> dict[str, Any]:
        answer = reception.http.post("/v1/channels", json=body)
        assert answer.status_code in (200, 201), answer.text
        channel: dict[str, Any] = answer.json()
        made.append(channel["id"])
        return channel

    yield create
    for channel_id in made:
        reception.http.delete(f"/v1/channels/{channel_id}")


def is_documented(channel: Mapping[str, Any]) -> None:
    """Assert that every required field is present with its type. Any: JSON."""
    assert set(REQUIRED) <= set(channel)
    for field in ("id", "organizationId", "name", "channelType", "webhookUrl", "fallbackMessage", "status"):
        assert isinstance(channel[field], str), field
    for field in NULLABLE:
        assert channel[field] is None or isinstance(channel[field], str), field
    assert all(isinstance(one, str) for one in channel["datasetIds"])
    assert channel["status"] in ("active", "paused", "error")
    assert channel["channelType"] in ("sms", "whatsapp", "telegram", "slack")
    for field in ("conversationCount", "messageCount"):
        assert type(channel[field]) is int, field
    for field in ("createdAt", "updatedAt"):
        # A date-time with its zone (RFC 3339).
        assert datetime.fromisoformat(channel[field]).tzinfo is not None, field
    assert channel.get("phoneNumber") is None or isinstance(channel["phoneNumber"], str)


def test_telegram_needs_a_name_and_a_bot_token(create: Create, telegram: Telegram) -> None:
    """botToken: "required for Telegram"; the response is the documented object."""
    bot = new_bot(telegram)
    channel = create({"name": "Front desk", "channelType": "telegram", "botToken": bot.token})
    is_documented(channel)
    assert (channel["name"], channel["channelType"]) == ("Front desk", "telegram")
    assert (channel["conversationCount"], channel["messageCount"]) == (0, 0)
    assert channel["lastMessageAt"] is None
    assert bot.token not in str(channel)


def test_everything_optional_may_be_null(create: Create, telegram: Telegram) -> None:
    """systemPromptId, modelId, welcomeMessage and fallbackMessage are "string | null"; phoneNumber, too."""
    nulls = dict.fromkeys(("phoneNumber", "systemPromptId", "modelId", "welcomeMessage", "fallbackMessage"))
    channel = create(
        {"name": "x", "channelType": "telegram", "botToken": new_bot(telegram).token, "datasetIds": [], **nulls}
    )
    is_documented(channel)


def test_what_is_said_of_a_channel_is_kept(create: Create, telegram: Telegram) -> None:
    """welcomeMessage and fallbackMessage come back as they were given; a name has up to 255 characters."""
    body = {"name": "n" * 255, "channelType": "telegram", "welcomeMessage": "Hello!", "fallbackMessage": "Soon."}
    channel = create({**body, "botToken": new_bot(telegram).token})
    is_documented(channel)
    assert {field: channel[field] for field in body} == body


def test_sms_needs_a_phone_number(create: Create, phone: str) -> None:
    """phoneNumber: "E.164 phone number (required for SMS/WhatsApp)"."""
    channel = create({"name": "Orders", "channelType": "sms", "phoneNumber": phone})
    is_documented(channel)
    assert (channel["channelType"], channel["phoneNumber"]) == ("sms", phone)


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic dXNlcjpwYXNz"])
def test_the_authorization_header_is_required(reception: Server, header: str) -> None:
    """Authorization: "string, header, required"."""
    headers = {"authorization": header} if header else {}
    with httpx.Client(base_url=reception.url, trust_env=False) as stranger:
        answer = stranger.post("/v1/channels", json={"name": "x", "channelType": "sms"}, headers=headers)
    assert answer.status_code in (401, 403)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": "n" * 256}, "name"),
        ({"name": 7}, "name"),
        ({"channelType": None}, "channelType"),
        ({"channelType": "fax"}, "channelType"),
        ({"botToken": None}, "botToken"),
        ({"channelType": "sms"}, "phoneNumber"),
        ({"channelType": "whatsapp"}, "phoneNumber"),
        ({"channelType": "sms", "phoneNumber": "015005550006"}, "phoneNumber"),
        ({"channelType": "sms", "phoneNumber": "500-555-0006"}, "phoneNumber"),
        ({"datasetIds": "menu"}, "datasetIds"),
    ],
)
def test_a_field_that_breaks_the_schema_is_refused_by_its_name(
    reception: Server, change: Mapping[str, object], field: str
) -> None:
    """name: "required", "1 - 255"; channelType: one of four; what the type needs is required; E.164."""
    body = {"name": "Shop", "channelType": "telegram", "botToken": "123456789:" + "A" * 35, **change}
    answer = reception.http.post("/v1/channels", json=body)
    assert answer.status_code in (400, 422), answer.text
    assert field in answer.text


def test_required_fields_are_required(reception: Server) -> None:
    """name and channelType: "required"."""
    answer = reception.http.post("/v1/channels", json={})
    assert answer.status_code in (400, 422)
    assert "name" in answer.text
    assert "channelType" in answer.text
