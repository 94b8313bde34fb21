"""The conversation and its files are served, whether she runs or not, and nothing else is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.daemon_process import DaemonProcess, wait_for

Make = Callable[..., str]


def messages(front: DaemonProcess, persona_id: str, query: str = "") -> list[dict[str, Any]]:
    answer = front.http.get(f"/api/persona/{persona_id}/conversation{query}")
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["messages"]
    return found


def test_conversation(front: DaemonProcess, make: Make) -> None:
    """Her lines and the owner's come in order with channel and time, also after she is stopped."""
    persona_id = make()
    assert messages(front, persona_id) == []
    with front.socket(f"/ws/{persona_id}"):
        front.read(persona_id, "hello \x00 there")
        wait_for(lambda: len(messages(front, persona_id)) == 2, "her answer")
    front.http.post(f"/api/persona/{persona_id}/stop")
    said = messages(front, persona_id)
    assert [line["role"] for line in said] == ["person", "assistant"]
    assert said[0]["content"] == "hello \N{REPLACEMENT CHARACTER} there"
    for line in said:
        assert set(line) == {"role", "content", "channel", "time", "id"}
        assert line["channel"] == {"type": "web", "name": persona_id}
        when = datetime.fromisoformat(line["time"])
        assert when.utcoffset() is not None
        assert len(line["time"].split(".")[1].split("+")[0].split("-")[0]) == 3
    assert messages(front, persona_id, "?limit=1") == said[1:]


@pytest.mark.parametrize("limit", ["-1", "x", "", "1.5", "9" * 30])
def test_conversation_limit_is_a_number(front: DaemonProcess, make: Make, limit: str) -> None:
    """A limit that is not a number is 422 and names the parameter."""
    answer = front.http.get(f"/api/persona/{make()}/conversation?limit={limit}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "limit"]
    assert answer.json()["detail"][0]["msg"] == "Input should be a whole number from 0 to 999999999999999999"


def test_conversation_in_pages(front: DaemonProcess, make: Make) -> None:
    """Pages before and after a line, and those that contain words; a page never has more than 1000 lines."""
    persona_id = make()
    with front.socket(f"/ws/{persona_id}"):
        front.read(persona_id, "hello there")
        wait_for(lambda: len(messages(front, persona_id)) == 2, "her answer")
    first, second = messages(front, persona_id)
    assert 0 < first["id"] < second["id"]
    assert messages(front, persona_id, f"?before={second['id']}&limit={'9' * 18}") == [first]
    assert messages(front, persona_id, f"?after={first['id']}") == [second]
    assert first in messages(front, persona_id, "?q=HELLO")
    assert messages(front, persona_id, "?q=goodbye") == []


@pytest.mark.parametrize(
    ("query", "name"),
    [("before=-1", "before"), ("after=x", "after"), ("before=1&after=1", "after"), (f"q={'x' * 201}", "q")],
)
def test_conversation_query_that_cannot_be_taken(front: DaemonProcess, make: Make, query: str, name: str) -> None:
    """A cursor that is no number, two directions and an endless search are 422 and name the parameter."""
    answer = front.http.get(f"/api/persona/{make()}/conversation?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", name]


def test_conversation_of_nobody(front: DaemonProcess) -> None:
    """An unknown persona has no conversation."""
    answer = front.http.get("/api/persona/nobody/conversation")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Persona not found."})


@pytest.fixture
def media(front: DaemonProcess, make: Make) -> tuple[str, Path]:
    """Her media path and folder."""
    persona_id = make()
    folder = front.state_dir / "personas" / persona_id / "media"
    folder.mkdir(exist_ok=True)
    return f"/api/persona/{persona_id}/media", folder


@pytest.mark.parametrize(
    ("name", "shown", "disposition"),
    [
        ("drawing.png", "image/png", "inline"),
        ("voice.OGG", "audio/ogg", "inline"),
        ("notes.md", "text/plain; charset=utf-8", "inline"),
        ("page.html", "application/octet-stream", "attachment"),
        ("drawing.svg", "application/octet-stream", "attachment"),
        ("script.js", "application/octet-stream", "attachment"),
        ("plain", "application/octet-stream", "attachment"),
    ],
)
def test_media_types(front: DaemonProcess, media: tuple[str, Path], name: str, shown: str, disposition: str) -> None:
    """Pictures and sounds are shown inline; what a browser could execute is a download, and is never sniffed."""
    path, folder = media
    (folder / name).write_bytes(b"0123456789")
    answer = front.http.get(f"{path}/{name}")
    assert (answer.status_code, answer.content) == (200, b"0123456789")
    assert answer.headers["content-type"] == shown
    assert answer.headers["content-disposition"].startswith(disposition)
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("header", "status", "content"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=2-400", 206, b"23456789"),
        ("bytes=4-2", 200, b"0123456789"),
        ("bytes=0-1,4-5", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
        ("nonsense", 200, b"0123456789"),
    ],
)
def test_media_ranges(front: DaemonProcess, media: tuple[str, Path], header: str, status: int, content: bytes) -> None:
    """A browser's player gets the range that it requests; an invalid range is ignored."""
    path, folder = media
    (folder / "voice.mp3").write_bytes(b"0123456789")
    answer = front.http.get(f"{path}/voice.mp3", headers={"range": header})
    assert (answer.status_code, answer.content) == (status, content)


def test_media_range_beyond_the_end(front: DaemonProcess, media: tuple[str, Path]) -> None:
    """A range after the end is 416 with the size, in the documented form."""
    path, folder = media
    (folder / "voice.mp3").write_bytes(b"0123456789")
    answer = front.http.get(f"{path}/voice.mp3", headers={"range": "bytes=10-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */10"
    assert "detail" in answer.json()
    (folder / "empty.mp3").touch()
    assert front.http.get(f"{path}/empty.mp3").content == b""


def test_media_leads_nowhere_else(front: DaemonProcess, media: tuple[str, Path]) -> None:
    """Links, pipes, folders, hidden files and every spelling of a way out are the same 404."""
    path, folder = media
    (folder / "link.png").symlink_to(folder.parent / "config.json")
    (folder / ".hidden").write_text("x")
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    names = ["link.png", ".hidden", "folder.png", "pipe.png", "missing.png", "..%2fconfig.json", "%2e%2e%2fconfig.json"]
    names += ["..%5cconfig.json", "a%00b.png", "%2fetc%2fpasswd", "x" * 300 + ".png", ".%2e", "con%0afig.png"]
    for name in names:
        answer = front.http.get(f"{path}/{name}")
        assert answer.status_code == 404, name
        assert answer.json()["detail"] in ("File not found.", "Not Found"), name
    raw = httpx.Request("GET", f"{front.url}{path}/x", extensions={"target": f"{path}/../config.json".encode()})
    assert front.http.send(raw).status_code == 404


def test_media_folder_that_is_a_link(front: DaemonProcess, media: tuple[str, Path], tmp_path: Path) -> None:
    """A media folder that was replaced by a link to another folder shows nothing of that."""
    path, folder = media
    (tmp_path / "private.txt").write_text("private")
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert front.http.get(f"{path}/private.txt").status_code == 404


def test_media_leaves_no_file_open(front: DaemonProcess, media: tuple[str, Path]) -> None:
    """Files are closed after they were sent or refused."""
    path, folder = media
    (folder / "a.png").write_bytes(b"x" * 100_000)

    def opened() -> list[str]:
        links = []
        for link in Path(f"/proc/{front.pid}/fd").iterdir():
            try:
                links.append(str(link.readlink()))
            except FileNotFoundError:
                continue
        return [target for target in links if target.startswith(str(folder))]

    for _ in range(20):
        assert front.http.get(f"{path}/a.png").status_code == 200
        assert front.http.head(f"{path}/a.png").status_code == 200
        assert front.http.get(f"{path}/a.png", headers={"range": "bytes=999999-"}).status_code == 416
    wait_for(lambda: opened() == [], "the files to be closed")


def test_providers(front: DaemonProcess) -> None:
    """The five providers are listed with their addresses."""
    answer = front.http.get("/api/config/providers")
    assert list(answer.json()) == ["local", "anthropic", "openai", "xai", "gemini"]
    assert answer.json()["anthropic"] == {"url": "https://api.anthropic.com"}
    assert json.loads(answer.text)["openai"]["url"].startswith("https://")
