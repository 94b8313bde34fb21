"""Create a channel: the documented object, what is refused and why, and what is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.daemon.api.v1.reception import PHONES, SHARED, Reception
from tests.daemon.api.v1.test_authentication import problem

FIELDS = [
    "id",
    "organizationId",
    "name",
    "channelType",
    "webhookUrl",
    "systemPromptId",
    "modelId",
    "datasetIds",
    "welcomeMessage",
    "fallbackMessage",
    "status",
    "lastError",
    "lastErrorAt",
    "conversationCount",
    "messageCount",
    "lastMessageAt",
    "createdAt",
    "updatedAt",
    "phoneNumber",
    "instructions",
]
"""The fields in the order of the page on creating a channel, and one of our own."""


def test_the_least_that_is_needed_makes_a_channel(desk: Reception) -> None:
    """Telegram needs a name and a token; the object has all documented fields, and the token is in no answer."""
    token = desk.bot()
    answer = desk.post({"name": "Front desk", "channelType": "telegram", "botToken": token})

    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert list(made) == FIELDS
    assert answer.headers["location"] == f"/v1/channels/{made['id']}"
    assert made == {
        **made,
        "organizationId": "house",
        "name": "Front desk",
        "channelType": "telegram",
        "webhookUrl": f"https://hooks.example.org/base/hooks/{made['id']}",
        "systemPromptId": desk.http.get("/api/personas").json()["personas"][0]["id"],
        "modelId": None,
        "datasetIds": [],
        "welcomeMessage": None,
        "status": "active",
        "lastError": None,
        "lastErrorAt": None,
        "conversationCount": 0,
        "messageCount": 0,
        "lastMessageAt": None,
        "phoneNumber": None,
        "instructions": None,
    }
    assert made["fallbackMessage"]
    assert made["createdAt"] == made["updatedAt"]
    assert made["createdAt"].endswith("Z")
    assert desk.get(f"/{made['id']}") == made
    assert made in desk.get("", limit=100)["items"]
    assert token not in answer.text


def test_everything_that_can_be_said_is_kept(desk: Reception) -> None:
    """SMS with persona, model, datasets and both messages; unknown fields are ignored, as FastAPI does."""
    (persona,) = desk.http.get("/api/personas").json()["personas"]
    body = {
        "name": "Orders",
        "channelType": "sms",
        "phoneNumber": desk.phone(),
        "systemPromptId": persona["id"],
        "modelId": "fast",
        "datasetIds": ["menu", "menu"],
        "welcomeMessage": "Hello!",
        "fallbackMessage": "Soon.",
        "instructions": "Take orders for pizza only.",
        "colour": "blue",
    }
    answer = desk.post(body)

    assert answer.status_code == 201, answer.text
    del body["colour"]
    assert answer.json() == {**answer.json(), **body, "datasetIds": ["menu"]}


@pytest.mark.parametrize(
    ("changed", "pointer", "words"),
    [
        ({"name": ""}, "/name", "at least 1 character"),
        ({"name": "x" * 256}, "/name", "at most 255 character"),
        ({"name": "a\nb"}, "/name", "no control characters"),
        ({"name": None}, "/name", "valid string"),
        ({"channelType": "fax"}, "/channelType", "one of: sms, whatsapp, telegram, slack"),
        ({"channelType": ["sms"]}, "/channelType", "valid string"),
        ({"botToken": None}, "/botToken", "@BotFather"),
        ({"botToken": " "}, "/botToken", "@BotFather"),
        ({"botToken": 7}, "/botToken", "valid string"),
        ({"botToken": "123456789:AAunknownunknownunknownunknownunkno"}, "/botToken", "token"),
        ({"botToken": "no token at all\x00"}, "/botToken", "token"),
        ({"channelType": "sms"}, "/phoneNumber", "needs a phoneNumber"),
        ({"channelType": "whatsapp", "phoneNumber": None}, "/phoneNumber", "needs a phoneNumber"),
        ({"channelType": "sms", "phoneNumber": "015005550006"}, "/phoneNumber", "E.164"),
        ({"channelType": "sms", "phoneNumber": "+0500"}, "/phoneNumber", "E.164"),
        ({"channelType": "sms", "phoneNumber": PHONES[0] + "\n"}, "/phoneNumber", "E.164"),
        ({"channelType": "sms", "phoneNumber": "+4930123456"}, "/phoneNumber", "Add an [accounts.NAME] table"),
        ({"channelType": "sms", "phoneNumber": SHARED}, "/account", "shop, home"),
        ({"channelType": "sms", "phoneNumber": PHONES[0], "account": "pub"}, "/account", "shop, home"),
        ({"channelType": "sms", "phoneNumber": PHONES[0], "account": "home"}, "/phoneNumber", "add it to its phones"),
        ({"channelType": "slack"}, "/account", "type slack"),
        ({"account": "shop"}, "/account", "not both"),
        ({"systemPromptId": "nobody"}, "/systemPromptId", "no persona with this id"),
        ({"modelId": "slow"}, "/modelId", "There are: fast."),
        ({"datasetIds": ["../../etc"]}, "/datasetIds/0", "datasets"),
        ({"datasetIds": ["../datasets/menu"]}, "/datasetIds/0", "datasets"),
        ({"datasetIds": ["."]}, "/datasetIds/0", "datasets"),
        ({"datasetIds": "menu"}, "/datasetIds", "valid list"),
        ({"welcomeMessage": "x" * 4097}, "/welcomeMessage", "at most 4096"),
        ({"instructions": "x" * 4097}, "/instructions", "at most 4096"),
    ],
)
def test_a_faulty_field_is_named(desk: Reception, changed: dict[str, object], pointer: str, words: str) -> None:
    """422 points at the field and says what it must be; nothing is stored."""
    before = desk.get("", limit=100)["items"]
    body = {"name": "Shop", "channelType": "telegram", "botToken": "123456789:" + "A" * 35, **changed}
    answer = desk.post(body)

    assert answer.status_code == 422, answer.text
    errors = problem(answer)["errors"]
    assert [error["pointer"] for error in errors] == [pointer]
    assert words in errors[0]["message"]
    assert str(desk.daemon.state_dir) not in answer.text
    assert desk.get("", limit=100)["items"] == before


def test_all_faults_of_form_are_listed(desk: Reception) -> None:
    """All faults come at once; a body that is not a JSON object is reported as that."""
    answer = desk.post({"phoneNumber": 1, "datasetIds": [1, "a", None]})

    assert answer.status_code == 422
    pointers = {error["pointer"] for error in problem(answer)["errors"]}
    assert pointers == {"/name", "/channelType", "/phoneNumber", "/datasetIds/0"}
    for content in (b"", b"{", b"[]", b"\xff", b'"x"', b"[" * 100_000, b'{"name": "\\ud800", "channelType": "sms"}'):
        faulty = desk.http.post("/v1/channels", content=content, headers={"content-type": "application/json"})
        assert faulty.status_code == 422, content
        assert problem(faulty)["errors"]


def test_a_body_that_says_that_it_is_no_json_is_refused(desk: Reception) -> None:
    """It is 415, whatever the body is."""
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        body = json.dumps({"name": "Shop", "channelType": "telegram"}).encode()
        answer = desk.http.post("/v1/channels", content=body, headers={"content-type": content_type})
        assert answer.status_code == 415
        problem(answer)


def test_a_bot_or_number_is_on_one_channel_only(desk: Reception) -> None:
    """A second channel of the same bot is 409 here and in the persona API, and so is a channel of a paired bot."""
    token = desk.bot()
    desk.create(botToken=token)
    phone = desk.create()["phoneNumber"]
    (persona,) = desk.http.get("/api/personas").json()["personas"]
    paired = desk.bot()
    add = f"/api/persona/{persona['id']}/channels"
    assert desk.http.post(add, json={"kind": "telegram", "credentials": {"token": paired}}).status_code == 200

    for body in (
        {"channelType": "telegram", "botToken": token},
        {"channelType": "telegram", "botToken": f" {token} "},
        {"channelType": "telegram", "botToken": paired},
        {"channelType": "sms", "phoneNumber": phone},
    ):
        answer = desk.post({"name": "Again", **body})
        assert answer.status_code == 409, answer.text
        assert "Eve" in problem(answer)["detail"]
    assert desk.http.post(add, json={"kind": "telegram", "credentials": {"token": token}}).status_code == 400


def test_a_channel_needs_somebody_who_answers(lonely: Reception) -> None:
    """Without a persona, and with several, the answer says what to do; an id or the setting chooses one."""

    def told(**body: str) -> Any:
        return lonely.post({"name": "Shop", "channelType": "sms", "phoneNumber": lonely.phone(), **body})

    assert "personad create" in problem(told())["detail"]
    eve, adam = lonely.persona("Eve"), lonely.persona("Adam")
    assert "channels.default_persona" in problem(told())["detail"]
    assert told(systemPromptId=adam).json()["systemPromptId"] == adam
    lonely.daemon.stop()
    lonely.daemon.settings["PERSONAD_CHANNELS_DEFAULT_PERSONA"] = eve
    lonely.daemon.start().ready()
    assert told().json()["systemPromptId"] == eve
