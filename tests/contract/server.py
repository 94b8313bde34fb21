"""The server under test, known only by its base URL, and its clients' requests."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from typing import Any, Final, Self
from urllib.parse import quote

import httpx
from websockets.sync.client import ClientConnection, connect

# Any in this module: JSON of the API.

TIMEOUT: Final = 120.0
"""Seconds that one request may take: a feed answers only when it is done, and the mind may be a real one."""

RAW_FIELDS: Final = (
    *("id", "name", "thinking", "version", "base_model", "birthday", "status", "idle_timeout"),
    *("imagination", "mouth", "eye", "ear", "teacher", "researcher", "channels"),
)
"""The raw Persona, "serialized field-for-field in declaration order"."""

NOT_ACTIVE: Final = "Persona is not active."
NO_WEB_CHANNEL: Final = "Web channel not connected"

Make = Callable[..., str]
"""Create a persona whose mind answers, and return her id; fields of the request may be given."""


def nobody() -> str:
    """Return an id that no persona has."""
    return str(uuid.uuid4())


class Server:
    """A client of one base URL; use it in a ``with``. ``token`` "" sends none."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(base_url=self.url, timeout=TIMEOUT, trust_env=False, headers=self._headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def socket(self, persona_id: str) -> ClientConnection:
        """Connect her web channel; use it in a ``with``."""
        url = re.sub(r"^http", "ws", self.url) + f"/ws/{persona_id}"
        return connect(url, additional_headers=self._headers or None, open_timeout=TIMEOUT, proxy=None)

    def create(self, **fields: str) -> dict[str, Any]:
        """Create a persona and return her raw record."""
        answer = self.http.post("/api/persona/create", json=fields)
        assert answer.status_code == 200, answer.text
        persona: dict[str, Any] = answer.json()["persona"]
        return persona

    def post(self, persona_id: str, verb: str, **body: Any) -> httpx.Response:
        """Call one of her routes; ``body`` is what httpx takes: ``json``, ``files``, ``data``."""
        return self.http.post(f"/api/persona/{persona_id}/{verb}", **body)

    def view(self, persona_id: str) -> dict[str, Any]:
        """Her reduced view in ``GET /api/personas``."""
        views = self.http.get("/api/personas").json()["personas"]
        (found,) = [one for one in views if one["id"] == persona_id]
        assert isinstance(found, dict)
        return found

    def channels(self, persona_id: str) -> list[dict[str, Any]]:
        """Her channels there."""
        found: list[dict[str, Any]] = self.view(persona_id)["channels"]
        return found

    def add(self, persona_id: str, kind: str, token: str) -> httpx.Response:
        """Add a channel."""
        return self.post(persona_id, "channels", json={"kind": kind, "credentials": {"token": token}})

    def remove(self, persona_id: str, name: str) -> httpx.Response:
        """Remove a channel by its name."""
        return self.http.delete(f"/api/persona/{persona_id}/channels/{quote(name, safe='')}")


def refused(answer: httpx.Response, status: int, detail: str) -> None:
    """Assert that the answer is this documented error."""
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})


def names_field(answer: httpx.Response, *fields: str) -> None:
    """Assert FastAPI's 422 about these fields: ``{"detail": [{"loc": ["body", FIELD], ...}, ...]}``."""
    assert answer.status_code == 422, answer.text
    assert [fault["loc"][-1] for fault in answer.json()["detail"]] == list(fields)


def reply(socket: ClientConnection) -> str:
    """Wait for her next message on the socket; signals are skipped."""
    while True:
        frame = json.loads(socket.recv(timeout=TIMEOUT))
        if frame["type"] == "chat_message":
            return str(frame["content"])
