"""Photos, voice notes and documents over gateways become perceptions, and are complete on the disk."""

from __future__ import annotations

from typing import Any, Final

from tests.daemon.channels.stage import CONNECTED, Stage
from tests.daemon_process import wait_for

JPEG: Final = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40
OGG: Final = b"OggS" + bytes(range(256)) * 20
PDF: Final = b"%PDF-1.7\n" + bytes(range(256)) * 400


def file_line(stage: Stage, extension: str) -> dict[str, Any]:
    """The line of the conversation that holds a file of this extension."""

    def found() -> list[dict[str, Any]]:
        return [line for line in stage.lines() if (line.get("media") or "").endswith(extension)]

    (line,) = wait_for(found, f"a {extension} in the conversation")
    return line


def test_files_are_perceived_and_served(stage: Stage) -> None:
    """A photo, a voice note and a document with a caption go to her mind, are stored whole and served by the API."""
    chat = stage.paired()
    chat.send("photo", JPEG)
    chat.send("voice", OGG)
    chat.send("document", PDF, name="Letter of May.pdf", caption="read this please")
    for extension, data, sense in ((".jpg", JPEG, "an image"), (".ogg", OGG, "a recording"), (".pdf", PDF, "document")):
        name = str(file_line(stage, extension)["media"])
        assert (stage.media / name).read_bytes() == data
        served = stage.daemon.http.get(f"/api/persona/{stage.id}/media/{name}")
        assert (served.status_code, served.content) == (200, data)
        chat.hears(sense)
    chat.hears("Letter of May.pdf", "read this please")
    assert not list(stage.media.glob(".part-*"))


def test_a_file_too_large(stage: Stage) -> None:
    """A file over the limit is not fetched, and her reply names the file and the limit."""
    chat = stage.paired()
    before = stage.provider.downloads(stage.token)
    limit = 20 if stage.provider.kind == "telegram" else 25
    chat.send("document", b"%PDF", name="huge.pdf", size=limit * 2**20 + 1)
    chat.hears("huge.pdf", f"{limit} MB")
    assert stage.provider.downloads(stage.token) == before
    assert not list(stage.media.glob("*"))


def test_files_of_people_who_are_not_paired(stage: Stage) -> None:
    """Only the paired account's files are fetched: none before pairing, and no stranger's after it."""
    token = stage.add()
    before = stage.provider.downloads(token)
    chat = stage.provider.chat(token, "alice_files")
    chat.send("photo", JPEG, caption="my first photo")
    wait_for(lambda: chat.codes, "a code")
    assert stage.pair(chat.codes[-1]).status_code == 200
    chat.hears(CONNECTED, "my first photo", "not fetched")
    stranger = stage.provider.chat(token, "mallory_files")
    stranger.send("document", PDF, name="trap.pdf")
    wait_for(lambda: stage.channel()["strangers"], "the stranger to be counted")
    assert stage.provider.downloads(token) == before
    assert not list(stage.media.glob("*"))
    chat.send("photo", JPEG)
    file_line(stage, ".jpg")
    assert stage.provider.downloads(token) > before
