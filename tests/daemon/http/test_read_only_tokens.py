"""A read-only token reads and listens on both doors, and changes nothing."""

from __future__ import annotations

import io
import json
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from daemon.http.tokens import make_token
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.openai import OpenAIEmulator
from tests.patience import PATIENCE

KEY = "sk-a-key-of-the-provider-0123456789"


class House(NamedTuple):
    """A daemon that needs a token, a persona, and the token that only reads."""

    daemon: DaemonProcess
    persona: str
    reading: dict[str, str]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, mind: OpenAIEmulator) -> Iterator[House]:
    """One daemon for all tests."""
    folder: Path = tmp_path_factory.mktemp("reading")
    full, reading = make_token(), make_token()
    file = folder / "tokens"
    file.write_text(f"{full}\nread-only {reading}\n")
    file.chmod(0o600)
    settings = {"PERSONAD_HTTP_TOKEN_FILE": str(file), "PERSONAD_MIND_BURST_WINDOW": "0"}
    process = DaemonProcess(folder / "state", settings)
    process.token = full
    try:
        process.start().ready()
        mind_of_hers = {"thinking_url": mind.url, "thinking_api_key": KEY}
        persona = process.create("Eve", thinking_model="m", thinking_provider="openai", **mind_of_hers)
        yield House(process, persona, {"authorization": f"Bearer {reading}"})
    finally:
        process.close()


def test_every_operation_but_reading_is_forbidden(house: House) -> None:
    """403 with what to do for each operation of the documents that may change something, and for invented ones."""
    paths = house.daemon.http.get("/openapi.json", headers=house.reading).json()["paths"]
    changing = [(method, path) for path in paths for method in paths[path] if method != "get"]
    assert len(changing) > 20
    for method, path in [*changing, ("post", "/api/nothing"), ("patch", "/api/personas"), ("put", "/v1/channels")]:
        asked = path.format_map(defaultdict(lambda: "x", named(house)))
        answer = house.daemon.http.request(method.upper(), asked, headers=house.reading)
        assert answer.status_code == 403, (method, path)
        assert "may only read" in answer.text
        assert "personad token" in answer.text
        assert "insufficient_scope" in answer.headers["www-authenticate"]
    assert [one["name"] for one in house.daemon.http.get("/api/personas").json()["personas"]] == ["Eve"]


def named(house: House) -> dict[str, str]:
    """What stands in the paths of the persona API."""
    return {"persona_id": house.persona, "channel_name": "x", "filename": "x"}


def test_what_is_read_is_open(house: House) -> None:
    """Lists, states, the conversation, the log, metrics, with GET and HEAD, on both doors."""
    hers = f"/api/persona/{house.persona}"
    for path in (
        *("/api/personas", "/api/status", "/api/logs", "/metrics", "/livez", "/readyz", "/openapi.json"),
        *(f"{hers}/conversation", f"{hers}/knowledge", "/v1/channels"),
    ):
        assert house.daemon.http.get(path, headers=house.reading).status_code == 200, path
        assert house.daemon.http.head(path, headers=house.reading).status_code == 200, path


def test_no_key_comes_with_reading(house: House) -> None:
    """The archive of a read-only token has no secrets, because a provider's key opens more than this daemon."""
    path = f"/api/persona/{house.persona}/export"
    for query in ({}, {"secrets": "true"}, {"secrets": "1"}):
        answer = house.daemon.http.get(path, params=query, headers=house.reading)
        assert answer.status_code == 403
        assert "secrets=false" in answer.json()["detail"]
    plain = house.daemon.http.get(path, params={"secrets": "false"}, headers=house.reading)
    assert plain.status_code == 200
    with zipfile.ZipFile(io.BytesIO(plain.content)) as archive:
        assert not any(KEY.encode() in archive.read(name) for name in archive.namelist())
    whole = house.daemon.http.get(path)
    with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
        assert any(KEY.encode() in archive.read(name) for name in archive.namelist())


def test_a_socket_of_a_read_only_token_listens(house: House) -> None:
    """It hears what others cause, what it sends changes nothing, and it does not open her web channel."""
    token = house.reading["authorization"].removeprefix("Bearer ")
    http, persona = house.daemon.http, house.persona
    wait_for(lambda: http.get("/api/personas").json()["personas"][0]["running"], "her to run")
    offered = ("personad.v1", f"bearer.{token}")
    with house.daemon.socket(f"/ws/{persona}", token="", subprotocols=offered) as reader:
        reader.send(json.dumps({"message": "written by a reader"}))
        assert house.daemon.read(persona, "too early").status_code == 400
        with house.daemon.socket(f"/ws/{persona}"):
            assert house.daemon.read(persona, "hello").status_code == 200
            while "hello" not in str(reader.recv(timeout=PATIENCE)):
                pass
    assert "written by a reader" not in str(house.daemon.conversation(persona))
    assert token not in house.daemon.log.read_text()
