"""Uploads as clients send them, complete, malformed or cut off, for the tests of ``hear`` and ``attach``."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, Final

import httpx

from tests.daemon_process import DaemonProcess
from tests.emulators.openai import OpenAIEmulator
from tests.patience import PATIENCE

Make = Callable[..., str]

ACCEPTED: Final = (
    ".aac, .csv, .flac, .gif, .jpeg, .jpg, .json, .m4a, .md, .mp3, .oga, .ogg, .opus, .pdf, .png, .txt, .wav, .webm,"
    " .webp"
)
BOUNDARY: Final = "----limit7f"
FIELD: Final = {"hear": "audio", "attach": "file"}
LIMIT: Final = 52_428_800


def send(
    daemon: DaemonProcess,
    persona_id: str,
    route: str,
    filename: str,
    data: bytes,
    caption: str | None = None,
    **headers: str,
) -> httpx.Response:
    """Upload one file."""
    return daemon.http.post(
        f"/api/persona/{persona_id}/{route}",
        files={FIELD[route]: (filename, data)},
        data={} if caption is None else {"caption": caption},
        headers=headers,
    )


def post_form(daemon: DaemonProcess, persona_id: str, route: str, *parts: tuple[str, bytes]) -> httpx.Response:
    """Upload a form whose parts are (Content-Disposition, content)."""
    body = b"".join(
        f"--{BOUNDARY}\r\nContent-Disposition: {head}\r\n\r\n".encode() + content + b"\r\n" for head, content in parts
    )
    return post_raw(daemon, persona_id, route, body + f"--{BOUNDARY}--\r\n".encode())


def post_raw(
    daemon: DaemonProcess,
    persona_id: str,
    route: str,
    body: bytes | Iterator[bytes],
    content_type: str = f"multipart/form-data; boundary={BOUNDARY}",
) -> httpx.Response:
    """Upload any bytes as a form."""
    return daemon.http.post(
        f"/api/persona/{persona_id}/{route}", content=body, headers={"content-type": content_type}, timeout=PATIENCE
    )


def media(daemon: DaemonProcess, persona_id: str) -> list[Path]:
    """Everything in her media folder, hidden files too."""
    return sorted((daemon.state_dir / "personas" / persona_id / "media").iterdir())


def person_lines(daemon: DaemonProcess, persona_id: str) -> list[dict[str, Any]]:
    """What the person said, as the conversation shows it."""
    messages = daemon.http.get(f"/api/persona/{persona_id}/conversation").json()["messages"]
    return [one for one in messages if one["role"] == "person"]


def resident(daemon: DaemonProcess) -> int:
    """The daemon's resident memory in bytes."""
    return int(Path(f"/proc/{daemon.pid}/statm").read_text().split()[1]) * 4096


def begin(daemon: DaemonProcess, persona_id: str, route: str, *headers: str) -> socket.socket:
    """Open a connection and send the head of an upload and the beginning of its file part."""
    connection = socket.create_connection(("127.0.0.1", daemon.port), timeout=PATIENCE)
    head = [
        f"POST /api/persona/{persona_id}/{route} HTTP/1.1",
        "Host: localhost",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        *headers,
    ]
    connection.sendall("".join(line + "\r\n" for line in (*head, "")).encode())
    return connection


def first_part(route: str, filename: str = "clip.wav") -> bytes:
    """The head of a form with one file."""
    disposition = f'Content-Disposition: form-data; name="{FIELD[route]}"; filename="{filename}"'
    return f"--{BOUNDARY}\r\n{disposition}\r\n\r\n".encode()


def answer_of(connection: socket.socket) -> tuple[int, bytes]:
    """One answer's status and body."""
    answer = HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.read()


def detail_of(answer: httpx.Response) -> Any:  # Any: JSON
    return answer.json()["detail"]


def has_five(received: list[str]) -> bool:
    return len(received) >= 5


def make_eve(daemon: DaemonProcess, mind: OpenAIEmulator) -> str:
    return daemon.create(
        "Eve", thinking_model="m", thinking_provider="openai", thinking_url=mind.url, thinking_api_key="k"
    )
