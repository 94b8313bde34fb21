"""``read`` as the perception page says: what is accepted is answered once, over the WebSocket."""

from __future__ import annotations

import json
import resource
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection

from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.openai import OpenAIEmulator
from tests.patience import PATIENCE

Make = Callable[..., str]


def chat(socket: ClientConnection) -> dict[str, Any]:
    """The next chat frame."""
    while True:
        frame = json.loads(socket.recv(timeout=PATIENCE))
        if frame["type"] == "chat_message":
            assert isinstance(frame, dict)
            return frame


def test_read_is_received_and_answered(front: DaemonProcess, make: Make) -> None:
    """The route answers at once, the reply comes as a chat frame with her id and a seq."""
    persona_id = make()
    with front.socket(f"/ws/{persona_id}") as socket:
        answer = front.read(persona_id, "What did the morning market scan turn up? ✓")
        assert (answer.status_code, answer.json()) == (200, {"status": "received"})
        assert answer.headers["content-type"] == "application/json"
        frame = chat(socket)
    assert set(frame) == {"type", "persona_id", "content", "seq", "turn"}
    assert frame["persona_id"] == persona_id
    assert "market scan" in frame["content"]
    assert isinstance(frame["seq"], int)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"{}", {"type": "missing", "loc": ["body", "message"], "msg": "Field required"}),
        (
            b'{"message": 1}',
            {"type": "string_type", "loc": ["body", "message"], "msg": "Input should be a valid string"},
        ),
        (
            b'{"message": null}',
            {"type": "string_type", "loc": ["body", "message"], "msg": "Input should be a valid string"},
        ),
        (b'{"message"', {"type": "json_invalid", "loc": ["body", 10], "msg": "JSON decode error"}),
        (b"", {"type": "missing", "loc": ["body"], "msg": "Field required"}),
        (b'{"message": "\xff"}', {"type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error"}),
    ],
)
def test_faulty_bodies(front: DaemonProcess, make: Make, body: bytes, fault: object) -> None:
    """A body without a message is 422 with Pydantic's text, even before her id is checked."""
    headers = {"content-type": "application/json"}
    for persona_id in (make(), str(uuid.uuid4())):
        answer = front.http.post(f"/api/persona/{persona_id}/read", content=body, headers=headers)
        assert (answer.status_code, answer.json()) == (422, {"detail": [fault]})


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'"text"',
        b"null",
        b"[" * 200_000,
        b'{"message": "a", "b": ' + b"[" * 200_000,
        b'{"message": "\\ud800"}',
        b'{"message": "a\x00b"}',
        b'{"n": ' + b"9" * 5000 + b"}",
    ],
)
def test_hostile_bodies_are_422(front: DaemonProcess, body: bytes) -> None:
    """Nesting, lone surrogates, raw NULs and endless numbers are the client's fault, never the daemon's."""
    answer = front.http.post(
        f"/api/persona/{uuid.uuid4()}/read", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][0] == "body"


def test_only_json_is_a_body(front: DaemonProcess, make: Make) -> None:
    """A form that a foreign page could post is refused; a body without a type is read as JSON."""
    path = f"/api/persona/{make()}/read"
    form = front.http.post(path, content=b'{"message": "hi"}', headers={"content-type": "text/plain"})
    assert form.status_code == 422
    assert form.json()["detail"][0]["type"] == "model_attributes_type"
    assert front.http.post(path, content=b'{"message": "hi"}').status_code == 400


def test_order_of_refusals(front: DaemonProcess, make: Make) -> None:
    """Not running is 409 with or without a persona; running without her web channel is 400."""
    persona_id = make()
    answer = front.read(persona_id, "hi")
    assert (answer.status_code, answer.json()) == (400, {"detail": "Web channel not connected"})
    front.http.post(f"/api/persona/{persona_id}/stop")
    for nobody in (persona_id, str(uuid.uuid4()), "nobody"):
        answer = front.read(nobody, "hi")
        assert (answer.status_code, answer.json()) == (409, {"detail": "Persona is not active."})


def test_message_over_the_limit(front: DaemonProcess, make: Make) -> None:
    """A message over limits.message_chars is 413, one at the limit is received."""
    persona_id = make()
    with front.socket(f"/ws/{persona_id}"):
        assert front.read(persona_id, "x" * 65_537).status_code == 413
        assert front.read(persona_id, "é" * 65_536).status_code == 200


def test_body_over_the_limit(front: DaemonProcess) -> None:
    """A body over http.max_body is 413, whether its length is declared or only counted, and the daemon goes on."""
    path = f"/api/persona/{uuid.uuid4()}/read"
    big = b'{"message": "' + b"x" * 1_100_000 + b'"}'

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(big), 65_536):
            yield big[start : start + 65_536]

    for body in (big, pieces()):
        answer = front.http.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 413
        assert "1048576" in answer.json()["detail"]
    assert front.http.get("/livez").status_code == 200


def test_idempotency_key_makes_one_message(front: DaemonProcess, make: Make) -> None:
    """A request repeated with its key is acknowledged again and stored once; another key is another message."""
    persona_id = make()
    with front.socket(f"/ws/{persona_id}") as socket:
        for key in ("key-1", "key-1", "key-2"):
            assert front.read(persona_id, "again", **{"Idempotency-Key": key}).status_code == 200
        chat(socket)

        def said() -> list[str]:
            messages = front.http.get(f"/api/persona/{persona_id}/conversation").json()["messages"]
            return [one["content"] for one in messages if one["role"] == "person"]

        assert wait_for(lambda: said() if len(said()) >= 2 else None, "both messages") == ["again", "again"]


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "é".encode().decode("latin-1")])
def test_idempotency_key_is_bounded(front: DaemonProcess, make: Make, key: str) -> None:
    """An invalid key is 400 before anything is stored."""
    headers = {b"Idempotency-Key": key.encode("latin-1")}
    answer = front.http.post(f"/api/persona/{make()}/read", json={"message": "hi"}, headers=headers)
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["detail"]


def test_full_inbox_is_429(tmp_path: Path, mind: OpenAIEmulator) -> None:
    """When too much is unanswered, the next message is 429 with Retry-After, and what was received stays."""
    daemon = DaemonProcess(tmp_path / "state", {"PERSONAD_LIMITS_INBOX": "2"})
    try:
        daemon.start()
        eve = daemon.create(
            "Eve", thinking_model="m", thinking_provider="openai", thinking_url=mind.url, thinking_api_key="k"
        )
        statuses = set()
        with daemon.socket(f"/ws/{eve}"):
            for number in range(200):
                answer = daemon.read(eve, f"message {number}")
                statuses.add(answer.status_code)
                if answer.status_code == 429:
                    assert int(answer.headers["retry-after"]) > 0
                    break
        assert statuses == {200, 429}
    finally:
        daemon.close()


def test_full_disk_is_507(daemon: DaemonProcess, mind: OpenAIEmulator) -> None:
    """A full disk is 507 and nothing is kept; once there is room everything continues by itself."""
    organs = {"thinking_model": "m", "thinking_provider": "openai", "thinking_url": mind.url, "thinking_api_key": "k"}
    eve = daemon.create("Eve", **organs)
    with daemon.socket(f"/ws/{eve}") as socket:
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        answer = daemon.read(eve, "lost, and said so")
        assert answer.status_code == 507
        assert "disk" in answer.json()["detail"]
        made = daemon.http.post("/api/persona/create", json={"name": "Adam", **organs})
        assert made.status_code == 400
        assert made.json()["detail"].startswith("Could not set up persona identity files.")
        assert daemon.http.get("/livez").status_code == 200
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert daemon.read(eve, "kept").status_code == 200
        assert "kept" in chat(socket)["content"]
    lines = daemon.http.get(f"/api/persona/{eve}/conversation").json()["messages"]
    assert [line["content"] for line in lines if line["role"] == "person"] == ["kept"]
    assert [one["name"] for one in daemon.http.get("/api/personas").json()["personas"]] == ["Eve"]
