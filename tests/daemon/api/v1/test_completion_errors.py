"""What the chat completions door refuses, and in which words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.daemon.api.v1.asking import PATH, Asked, error, said
from tests.daemon.api.v1.reception import TOKEN, Reception
from tests.daemon_process import wait_for
from tests.emulators.scripted import ScriptedMind
from tests.emulators.server import Step
from tests.patience import PATIENCE

HI = said("user", "hi")


@pytest.fixture(scope="module")
def vera(desk: Reception) -> Iterator[Asked[ScriptedMind]]:
    """A persona at the shared daemon."""
    with ScriptedMind() as mind, Asked(desk.daemon, mind, "Vera") as asked:
        yield asked
        assert desk.http.post(f"/api/persona/{asked.persona}/delete").status_code == 200


@pytest.mark.parametrize(
    ("fields", "code", "param", "words"),
    [
        ({"messages": None}, "invalid_type", "messages", "Invalid type for 'messages'"),
        ({"messages": []}, "empty_array", "messages", "empty array"),
        ({"messages": ["hi"]}, "invalid_type", "messages[0]", "but got a string instead"),
        ({"messages": [{"content": "hi"}]}, "missing_required_parameter", "messages[0].role", "Missing required"),
        ({"messages": [said("owner", "hi")]}, "invalid_value", "messages[0].role", "Supported values are: 'system'"),
        ({"messages": [{"role": "user"}]}, "missing_required_parameter", "messages[0].content", "Missing required"),
        ({"messages": [said("user", 5)]}, "invalid_type", "messages[0].content", "an integer"),
        ({"messages": [HI, said("assistant", "yes")]}, "invalid_value", "messages", "role 'user'"),
        ({"messages": [said("user", "x" * 70_000)]}, "string_above_max_length", "messages[0].content", "65536"),
        (
            {"messages": [said("user", [{"type": "file", "file": {}}])]},
            "invalid_value",
            "messages[0].content[0].type",
            "",
        ),
        ({"model": 5}, "invalid_type", "model", "expected a string"),
        ({"n": 2}, "unsupported_value", "n", "Only the default (1) value is supported"),
        ({"temperature": 3}, "decimal_above_max_value", "temperature", "Expected a value <= 2, but got 3 instead"),
        ({"max_tokens": 0}, "integer_below_min_value", "max_tokens", ">= 1"),
        ({"logprobs": True}, "unsupported_parameter", "logprobs", "not supported with this model"),
        ({"stop": ["\n"]}, "unsupported_parameter", "stop", "not supported with this model"),
        ({"response_format": {"type": "json_object"}}, "unsupported_value", "response_format", "'json_object'"),
        ({"modalities": ["text", "audio"]}, "unsupported_value", "modalities", "['text']"),
        ({"tool_choice": "required"}, "unsupported_value", "tool_choice", "'auto'"),
        ({"stream": "yes"}, "invalid_type", "stream", "a boolean"),
        ({"stream_options": {"include_usage": True}}, None, "stream_options", "only allowed when 'stream' is enabled"),
        ({"stroe": False}, None, None, "Unrecognized request argument supplied: stroe"),
    ],
)
def test_a_field_that_cannot_be_taken(
    vera: Asked[ScriptedMind], fields: dict[str, Any], code: str | None, param: str | None, words: str
) -> None:
    """400 in OpenAI's words, and nothing reaches her."""
    before = len(vera.mind.heard)
    answer = vera.daemon.http.post(PATH, json={"model": "Vera", "messages": [HI], **fields})
    assert words in error(answer, 400, code, param)
    assert len(vera.mind.heard) == before


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://example.org/cat.png", "invalid_image_url"),
        ("file:///etc/passwd", "invalid_image_url"),
        ("data:image/png,plain", "invalid_image_url"),
        ("data:image/svg+xml;base64,aGk=", "invalid_image_format"),
        ("data:image/png;base64,%%%", "invalid_base64"),
        ("data:image/png;base64,", "invalid_base64"),
    ],
)
def test_a_picture_that_is_not_there(vera: Asked[ScriptedMind], url: str, code: str) -> None:
    """The daemon fetches nothing for a request."""
    answer = vera.post(said("user", [{"type": "image_url", "image_url": {"url": url}}]))
    assert error(answer, 400, code, "messages[0].content[0].image_url.url")


def test_a_body_that_is_no_json(vera: Asked[ScriptedMind]) -> None:
    """As OpenAI says it."""
    for body in (b"", b"{", b"[]", b"\xff", b'{"model": "Vera", "messages": [' + b"[" * 50_000):
        answer = vera.daemon.http.post(PATH, content=body)
        assert "could not parse the JSON body" in error(answer, 400, None)


def test_without_a_token(vera: Asked[ScriptedMind]) -> None:
    """Also on the loopback; the client raises what it knows."""
    without = httpx.Client(base_url=vera.daemon.url, trust_env=False)
    with without:
        assert "personad token" in error(without.post(PATH, json={}), 401, "invalid_api_key")
        assert error(without.get("/v1/models"), 401, "invalid_api_key")
    with pytest.raises(openai.AuthenticationError):
        vera.client.with_options(api_key="personad_wrong").models.list()


def test_a_read_only_token(desk: Reception, vera: Asked[ScriptedMind]) -> None:
    """It lists who there is, and says nothing to them."""
    file = desk.daemon.state_dir / "token"
    reading = "personad_0123456789reading0123456789"
    file.write_text(f"{TOKEN}\nread-only {reading}\n")
    headers = {"authorization": f"Bearer {reading}"}
    try:
        wait_for(lambda: desk.http.get("/v1/models", headers=headers).status_code == 200, "the new token")
        answer = desk.http.post(PATH, json={"model": "Vera", "messages": [HI]}, headers=headers)
        assert "may only read" in error(answer, 403, "insufficient_permissions")
    finally:
        file.write_text(f"{TOKEN}\n")


def test_who_is_not_there(desk: Reception, vera: Asked[ScriptedMind]) -> None:
    """Unknown and stopped alike, as OpenAI words it; two of one name are told apart by their ids."""
    with pytest.raises(openai.NotFoundError) as unknown:
        vera.client.models.retrieve("gpt-5")
    assert unknown.value.code == "model_not_found"
    twins = [desk.persona("Twin"), desk.persona("Twin")]
    try:
        listed = [one.id for one in vera.client.models.list() if one.id in (*twins, "Twin")]
        assert sorted(listed) == sorted(twins)
        words = error(vera.post("hi", model="Twin"), 400, "model_ambiguous", "model")
        assert all(one in words for one in twins)
        assert vera.post("hi", model=twins[0]).status_code == 200
        assert desk.http.post(f"/api/persona/{twins[0]}/stop").status_code == 200
        assert "is not running" in error(vera.post("hi", model=twins[0]), 404, "model_not_found", "model")
        assert twins[0] not in [one.id for one in vera.client.models.list()]
    finally:
        for one in twins:
            desk.http.post(f"/api/persona/{one}/delete")


def test_other_paths_of_that_api(vera: Asked[ScriptedMind]) -> None:
    """A client gets an error that it can read; the channels of /v1 keep theirs."""
    assert "Unknown request URL: POST /v1/responses" in error(
        vera.daemon.http.post("/v1/responses"), 404, "unknown_url"
    )
    answer = vera.daemon.http.get(PATH)
    assert error(answer, 405, "method_not_supported")
    assert answer.headers["allow"] == "POST"
    problem = vera.daemon.http.get("/v1/nothing")
    assert problem.headers["content-type"] == "application/problem+json"


def test_a_page_of_another_origin(vera: Asked[ScriptedMind]) -> None:
    """A browser's page of a stranger may not use the door, whatever it sends."""
    answer = vera.daemon.http.post(PATH, json={}, headers={"origin": "https://evil.example"})
    assert "another origin" in error(answer, 403, "insufficient_permissions")


def test_a_mind_that_is_down(vera: Asked[ScriptedMind]) -> None:
    """503 at once, with the reason; the message is kept, and the same request gets the answer when it is back."""
    word = vera.word()
    vera.mind.answer = lambda text: Step(status=401, message="bad key") if word in text else None
    answer = vera.post(word)
    assert "cannot reach my mind" in error(answer, 503, "mind_unreachable")
    assert answer.headers["retry-after"]
    assert error(vera.post(word), 503, "mind_unreachable")
    assert error(vera.post(word, store=False), 503, "mind_unreachable")
    vera.mind.answer = lambda _: None
    assert vera.daemon.http.post(f"/api/persona/{vera.persona}/restart").status_code == 200
    assert vera.say(word) == word
    assert [role for role, words in vera.lines(word) if words == word] == ["person", "assistant"]


def test_too_many_at_once(vera: Asked[ScriptedMind]) -> None:
    """Over the limit of the settings a request is refused, and says when to come again."""
    word = vera.word()
    vera.mind.hold(word)
    answers: list[int] = []
    first = [f"{word} {number}" for number in range(16)]
    threads = [threading.Thread(target=lambda one=one: answers.append(vera.post(one).status_code)) for one in first]
    for thread in threads:
        thread.start()
    wait_for(lambda: _waiting(vera) == 16, "them to be accepted")
    answer = vera.post("one more")
    vera.mind.let_go(word)
    assert error(answer, 429, "rate_limit_exceeded")
    assert answer.headers["retry-after"]
    for thread in threads:
        thread.join(PATIENCE)
    assert answers == [200] * 16


def _waiting(asked: Asked[ScriptedMind]) -> int:
    (shown,) = [one for one in asked.daemon.http.get("/api/status").json()["personas"] if one["id"] == asked.persona]
    waits: int = shown["inbox"]
    return waits
