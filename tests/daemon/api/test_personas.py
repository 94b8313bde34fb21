"""Personas are listed, created, updated and deleted as the documents say."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.openai import OpenAIEmulator

Make = Callable[..., str]

RAW_FIELDS = [
    "id",
    "name",
    "thinking",
    "version",
    "base_model",
    "birthday",
    "status",
    "idle_timeout",
    "imagination",
    "mouth",
    "eye",
    "ear",
    "teacher",
    "researcher",
    "channels",
]
VIEW_FIELDS = [
    "id",
    "name",
    "base_model",
    "birthday",
    "running",
    "status",
    "thinking",
    "imagination",
    "mouth",
    "eye",
    "ear",
    "teacher",
    "researcher",
    "channels",
]


def view(front: DaemonProcess, persona_id: str) -> dict[str, Any]:
    views = front.http.get("/api/personas").json()["personas"]
    (found,) = [one for one in views if one["id"] == persona_id]
    assert isinstance(found, dict)
    return found


def config(front: DaemonProcess, persona_id: str) -> dict[str, Any]:
    text = (front.state_dir / "personas" / persona_id / "config.json").read_text()
    record = json.loads(text)
    assert isinstance(record, dict)
    return record


def test_create_answers_the_raw_record(front: DaemonProcess, mind: OpenAIEmulator) -> None:
    """The answer is the whole record in the documented order, with unmasked keys; the file has the same."""
    asked = {"name": "Eve", "thinking_model": "m", "thinking_provider": "openai", "thinking_api_key": "key-1"}
    asked |= {"thinking_url": mind.url, "eye_model": "see", "eye_provider": "openai", "eye_url": mind.url}
    answer = front.http.post("/api/persona/create", json=asked)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert list(body) == ["persona", "recovery_phrase"]
    assert body["recovery_phrase"] is None
    persona = body["persona"]
    assert list(persona) == RAW_FIELDS
    assert uuid.UUID(persona["id"]).version == 4
    assert persona["thinking"] == {"name": "m", "provider": "openai", "api_key": "key-1", "url": mind.url}
    assert persona["eye"]["name"] == "see"
    assert persona["channels"] is None
    assert config(front, persona["id"]) == persona
    assert view(front, persona["id"])["running"] is True
    assert front.http.post(f"/api/persona/{persona['id']}/delete").status_code == 200


def test_list_shows_the_reduced_view(front: DaemonProcess, make: Make) -> None:
    """The list has the documented fields in order, no key, and channels that are never null."""
    shown = view(front, make(thinking_api_key="very-secret-key"))
    assert list(shown) == VIEW_FIELDS
    assert list(shown["thinking"]) == ["name", "provider", "url"]
    assert shown["channels"] == []
    assert "very-secret-key" not in front.http.get("/api/personas").text


def test_names_may_be_shared(front: DaemonProcess, make: Make) -> None:
    """Two personas may have the same name."""
    assert make("Twin") != make("Twin")


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({}, {("missing", "name"), ("missing", "thinking_model")}),
        (
            {"name": 1, "thinking_model": None, "ear_url": []},
            {("string_type", f) for f in ("name", "thinking_model", "ear_url")},
        ),
        ({"name": "", "thinking_model": "m"}, {("string_too_short", "name")}),
        ({"name": "x" * 101, "thinking_model": "m"}, {("string_too_long", "name")}),
        ({"name": "a\x1b[2Jb", "thinking_model": "m"}, {("string_pattern_mismatch", "name")}),
        ({"name": "a\u2028b", "thinking_model": "m"}, {("string_pattern_mismatch", "name")}),
    ],
)
def test_create_lists_every_faulty_field(front: DaemonProcess, body: object, faults: set[tuple[str, str]]) -> None:
    """422 names each field that is missing, of the wrong type or unprintable, and nothing is made."""
    before = front.http.get("/api/personas").json()
    answer = front.http.post("/api/persona/create", json=body)
    assert answer.status_code == 422
    detail = answer.json()["detail"]
    assert {(fault["type"], fault["loc"][1]) for fault in detail} == faults
    assert all(set(fault) == {"type", "loc", "msg"} and fault["loc"][0] == "body" for fault in detail)
    assert front.http.get("/api/personas").json() == before


def test_create_refuses_a_mind_that_cannot_be_reached(front: DaemonProcess) -> None:
    """A model that does not answer is 400 with the reason, before anything is saved."""
    before = list((front.state_dir / "personas").iterdir())
    asked = {"name": "Eve", "thinking_model": "m", "thinking_provider": "openai", "thinking_url": "http://127.0.0.1:9"}
    answer = front.http.post("/api/persona/create", json={**asked, "thinking_api_key": "very-secret-key"})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("Environment preparation failed: ")
    assert answer.json()["detail"].endswith(".")
    assert "very-secret-key" not in answer.text
    assert list((front.state_dir / "personas").iterdir()) == before


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        (
            {"thinking_model": "", "thinking_provider": "openai"},
            "A model name is required when using a remote provider.",
        ),
        ({"thinking_model": " "}, "No model available. Please provide a model name."),
    ],
)
def test_create_needs_a_model_name(front: DaemonProcess, fields: dict[str, str], detail: str) -> None:
    """An empty model name gets the documented text for a remote and for a local mind."""
    answer = front.http.post("/api/persona/create", json={"name": "Eve", **fields})
    assert (answer.status_code, answer.json()) == (400, {"detail": detail})


def test_update_changes_status_and_makes_running_match(front: DaemonProcess, make: Make) -> None:
    """hibernate stops her, active starts her, and both are saved."""
    persona_id = make()
    answer = front.http.post(f"/api/persona/{persona_id}/update", json={"status": "hibernate"})
    assert (answer.status_code, answer.json()) == (200, {"status": "hibernate", "running": False})
    assert config(front, persona_id)["status"] == "hibernate"
    answer = front.http.post(f"/api/persona/{persona_id}/update", json={"status": "active"})
    assert (answer.status_code, answer.json()) == (200, {"status": "active", "running": True})


def test_update_changes_organs_and_keeps_the_key(front: DaemonProcess, make: Make, mind: OpenAIEmulator) -> None:
    """An absent api_key stays, but not for another provider; clear_<organ> removes an organ."""
    persona_id = make(thinking_api_key="key-1")
    path = f"/api/persona/{persona_id}/update"
    eye = {"model": "see", "provider": "openai", "url": mind.url, "api_key": "key-2"}
    answer = front.http.post(path, json={"thinking": {"model": "other"}, "eye": eye})
    assert answer.status_code == 200, answer.text
    record = config(front, persona_id)
    assert record["thinking"] == {"name": "other", "provider": "openai", "api_key": "key-1", "url": mind.url}
    assert record["eye"]["api_key"] == "key-2"
    assert front.http.post(path, json={"clear_eye": True}).status_code == 200
    assert config(front, persona_id)["eye"] is None
    embedded = {"thinking": {"model": "smollm2-135m-instruct", "provider": "embedded"}}
    assert front.http.post(path, json=embedded).status_code == 200
    assert config(front, persona_id)["thinking"] == {
        "name": "smollm2-135m-instruct",
        "provider": "embedded",
        "api_key": None,
        "url": None,
    }


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"status": "dead"}, "Status must be one of: active, hibernate, sick."),
        ({"status": ["active"]}, "Status must be one of: active, hibernate, sick."),
        ({"colour": "red"}, "An unknown key was sent"),
        ({"clear_thinking": True}, "An unknown key was sent"),
        ({"clear_eye": "yes"}, "clear_eye must be true or false."),
        ({"eye": "see"}, "eye cannot be taken: Input should be a valid dictionary."),
        ({"eye": {"model": 5}}, "eye cannot be taken: model: Input should be a valid string."),
        ({"eye": {"modle": "x"}}, "send model, url, provider, api_key"),
        ({"eye": {"provider": "openai"}}, "A model name is required when using a remote provider."),
    ],
)
def test_update_refuses_what_it_does_not_know(front: DaemonProcess, make: Make, body: object, words: str) -> None:
    """Each refusal is 400 and names the key; she stays as she was."""
    persona_id = make()
    before = config(front, persona_id)
    answer = front.http.post(f"/api/persona/{persona_id}/update", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["detail"]
    assert config(front, persona_id) == before


def test_delete_leaves_nothing(front: DaemonProcess, make: Make) -> None:
    """Her process, folder and conversation are gone; a second delete is 404."""
    persona_id = make()
    with front.socket(f"/ws/{persona_id}"):
        assert front.read(persona_id, "remember me").status_code == 200
    answer = front.http.post(f"/api/persona/{persona_id}/delete")
    assert (answer.status_code, answer.json()) == (200, None)
    assert not list((front.state_dir / "personas").glob(f"*{persona_id}*"))
    assert persona_id not in front.http.get("/api/personas").text
    again = front.http.post(f"/api/persona/{persona_id}/delete")
    assert (again.status_code, again.json()) == (404, {"detail": "Persona not found."})


def test_broken_config_shows_her_last_good_record(front: DaemonProcess, make: Make) -> None:
    """An edit by hand that is not a valid record changes nothing in the list; the status names the exact fault."""
    persona_id = make("Steady")
    file = front.state_dir / "personas" / persona_id / "config.json"
    good = file.read_text()
    file.write_text(good.replace('"Steady"', "5"))

    def fault() -> str:
        personas = front.http.get("/api/status").json()["personas"]
        return str(next(one["fault"] for one in personas if one["id"] == persona_id))

    assert "name" in wait_for(fault, "the fault to be seen")
    assert view(front, persona_id)["name"] == "Steady"
    file.write_text(good)
    wait_for(lambda: not fault(), "the fault to be gone")


@pytest.mark.parametrize(
    "persona_id", ["6c17c83c-3158-450d-8e43-0e7efea717c1", "nobody", "..", "%2e%2e", "%00", "🌵", "x" * 3000]
)
@pytest.mark.parametrize("verb", ["update", "delete", "start", "restart"])
def test_unknown_persona_is_404(front: DaemonProcess, verb: str, persona_id: str) -> None:
    """A text that is not an id is the same 404 as an unknown id."""
    answer = front.http.post(f"/api/persona/{persona_id}/{verb}", json={})
    assert answer.status_code == 404
    assert answer.json()["detail"] in ("Persona not found.", "Not Found")


def test_limit_of_personas(tmp_path: Path, mind: OpenAIEmulator) -> None:
    """The persona over the limit is 400 with the setting's name."""
    daemon = DaemonProcess(tmp_path / "state", {"PERSONAD_LIMITS_PERSONAS": "1"})
    try:
        daemon.start()
        asked = {
            "thinking_model": "m",
            "thinking_provider": "openai",
            "thinking_url": mind.url,
            "thinking_api_key": "k",
        }
        daemon.create("Eve", **asked)
        answer = daemon.http.post("/api/persona/create", json={"name": "Adam", **asked})
        assert answer.status_code == 400
        assert "limits.personas" in answer.json()["detail"]
    finally:
        daemon.close()
