"""Perception: what its routes share, and the files of "Hear" and "Attach"."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.contract.server import NO_WEB_CHANNEL, NOT_ACTIVE, Server, names_field, nobody, refused, reply

CLIP: Final = ("question.m4a", b"clip")
DELIVERIES: Final[dict[str, dict[str, Any]]] = {
    "read": {"json": {"message": "hello"}},
    "hear": {"files": {"audio": CLIP}},
    "attach": {"files": {"file": ("report.pdf", b"%PDF")}},
}
"""A valid request for each delivery route (Any: httpx's arguments)."""

FEED: Final[dict[str, Any]] = {"files": {"history": ("a.json", b"[]")}, "data": {"source": "chatgpt"}}

IMAGES: Final = (".png", ".jpg", ".jpeg", ".gif", ".webp")
SOUNDS: Final = (".wav", ".mp3", ".m4a", ".ogg", ".oga", ".webm", ".flac", ".aac", ".opus")
DOCUMENTS: Final = (".pdf", ".csv", ".json", ".txt", ".md")
ACCEPTED: Final = ", ".join(sorted(IMAGES + SOUNDS + DOCUMENTS))


@pytest.mark.parametrize("route", [*DELIVERIES, "feed"])
def test_every_route_needs_her_running(server: Server, eve: str, route: str) -> None:
    """409: "if she isn't being served you get 409 ("Persona is not active.")"."""
    server.post(eve, "stop")
    for persona_id in (eve, nobody()):
        refused(server.post(persona_id, route, **DELIVERIES.get(route, FEED)), 409, NOT_ACTIVE)


@pytest.mark.parametrize("route", DELIVERIES)
def test_the_three_deliveries_need_her_web_channel(server: Server, eve: str, route: str) -> None:
    """400: "they hand the input to that channel, so if it isn't open you get 400 ("Web channel not connected")"."""
    refused(server.post(eve, route, **DELIVERIES[route]), 400, NO_WEB_CHANNEL)


@pytest.mark.parametrize("route", DELIVERIES)
def test_deliveries_return_at_once_and_are_answered_later(server: Server, eve: str, route: str) -> None:
    """200 {"status": "received"}: "her actual reply arrives later over the WebSocket"."""
    with server.socket(eve) as socket:
        answer = server.post(eve, route, **DELIVERIES[route])
        assert (answer.status_code, answer.json()) == (200, {"status": "received"})
        assert reply(socket)


def test_start_brings_her_up(server: Server, eve: str) -> None:
    """The page: "Bring her up first with POST .../start"."""
    server.post(eve, "stop")
    assert server.view(eve)["running"] is False
    assert server.post(eve, "start").status_code == 200
    assert server.view(eve)["running"] is True
    with server.socket(eve):
        assert server.post(eve, "read", json={"message": "hello"}).status_code == 200


@pytest.mark.parametrize("filename", ["question.m4a", "question.webm", "question", "question.xyz", "report.pdf"])
def test_hear_takes_every_extension(server: Server, eve: str, filename: str) -> None:
    """Hear: "does not validate the extension"; "if it has none, .webm is assumed"."""
    with server.socket(eve):
        answer = server.post(eve, "hear", files={"audio": (filename, b"clip")})
    assert (answer.status_code, answer.json()) == (200, {"status": "received"})


@pytest.mark.parametrize(("route", "field"), [("hear", "audio"), ("attach", "file")])
@pytest.mark.parametrize("caption", ["", "what do you make of this?"])
def test_a_caption_may_come_along(server: Server, eve: str, route: str, field: str, caption: str) -> None:
    """caption: "Optional text to accompany the file. Defaults to empty"."""
    with server.socket(eve):
        answer = server.post(eve, route, files={field: ("q.ogg", b"clip")}, data={"caption": caption})
    assert (answer.status_code, answer.json()) == (200, {"status": "received"})


@pytest.mark.parametrize(("route", "field"), [("hear", "audio"), ("attach", "file")])
def test_a_form_without_the_file_is_422(server: Server, eve: str, route: str, field: str) -> None:
    """422: "audio part missing", "file part missing"."""
    with server.socket(eve):
        names_field(server.post(eve, route, data={"caption": "hello"}), field)


@pytest.mark.parametrize("extension", IMAGES + SOUNDS + DOCUMENTS)
def test_attach_takes_the_documented_extensions(server: Server, eve: str, extension: str) -> None:
    """Attach: "by file extension (lower-cased)"; without the organ it "still gets routed"."""
    with server.socket(eve):
        for name in (f"file{extension}", f"FILE{extension.upper()}"):
            answer = server.post(eve, "attach", files={"file": (name, b"data")})
            assert (answer.status_code, answer.json()) == (200, {"status": "received"}), name


@pytest.mark.parametrize(("filename", "shown"), [("movie.mp4", ".mp4"), ("MOVIE.MP4", ".mp4"), ("notes", "unknown")])
def test_attach_refuses_every_other_extension(server: Server, eve: str, filename: str, shown: str) -> None:
    """415: the detail "names the rejected extension (or unknown ...) and lists every accepted one" in order."""
    with server.socket(eve):
        answer = server.post(eve, "attach", files={"file": (filename, b"data")})
    refused(answer, 415, f"No perception capability for {shown}. Accepted: {ACCEPTED}.")
