"""What ``hear`` and ``attach`` accept, as the perception page says: it is stored whole and answered."""

from __future__ import annotations

import pytest

from daemon.api.openapi import document
from proto.perception import EXTENSIONS
from tests.daemon.api.uploading import Make, detail_of, media, person_lines, post_form, send
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators import samples
from tests.emulators.openai import OpenAIEmulator
from tests.listener import Listener
from worker.organs.ogg import joined


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_attach_routes_by_extension(front: DaemonProcess, make: Make, extension: str) -> None:
    """Each documented extension, in any letter case, is received, shown with its caption and served whole."""
    persona_id, data = make(), b"\x00\r\n--x\xff" * 100
    with front.socket(f"/ws/{persona_id}"):
        answer = send(front, persona_id, "attach", f"Some File{extension.upper()}", data, "what do you make of this?")
        assert (answer.status_code, answer.json()) == (200, {"status": "received"})
    [line] = person_lines(front, persona_id)
    assert (line["content"], line["title"]) == ("what do you make of this?", f"Some File{extension.upper()}")
    kind, dot, rest = line["media"].partition("-")
    assert (kind, dot, rest[32:]) == (EXTENSIONS[extension], "-", extension)
    assert [file.name for file in media(front, persona_id)] == [line["media"]]
    assert front.http.get(f"/api/persona/{persona_id}/media/{line['media']}").content == data


@pytest.mark.parametrize(
    ("filename", "stored"),
    [
        ("question.m4a", ".m4a"),
        ("QUESTION.WAV", ".WAV"),
        ("question", ".webm"),
        ("", ".webm"),
        ("question.xyz", ".xyz"),
        ("page.html", ".html"),
        ("../../../etc/passwd", ".webm"),
        ("..\\..\\secret.ogg", ".ogg"),
        ("/tmp/a.b/clip", ".webm"),
        ("a.o\x01g\tg", ".ogg"),
        ("clip.\N{SNOWMAN}", ".bin"),
        ("clip." + "x" * 200, "." + "x" * 16),
    ],
)
def test_hear_keeps_the_extension(front: DaemonProcess, make: Make, filename: str, stored: str) -> None:
    """hear refuses no extension, assumes .webm for none, and drops odd characters; every file stays in her folder.

    A clip has no title, because it is speech and not a document.
    """
    persona_id = make()
    disposition = f'form-data; name="audio"; filename="{filename}"'
    with front.socket(f"/ws/{persona_id}"):
        assert post_form(front, persona_id, "hear", (disposition, b"RIFF")).status_code == 200
    [line] = person_lines(front, persona_id)
    assert (line["content"], line.get("title", "")) == ("", "")
    assert line["media"].startswith("audio-")
    assert line["media"].partition(".")[2] == stored[1:]
    [file] = media(front, persona_id)
    assert (file.name, file.read_bytes(), file.stat().st_mode & 0o777) == (line["media"], b"RIFF", 0o600)


def test_an_empty_file_and_a_long_caption(front: DaemonProcess, make: Make) -> None:
    """An empty file is accepted. A caption may have limits.message_chars characters, and be anywhere in the form."""
    persona_id = make()
    with front.socket(f"/ws/{persona_id}"):
        audio = ('form-data; name="audio"; filename="a.wav"', b"")
        caption = ("form-data; name=caption", ("é" * 65_536).encode())
        for parts in ((audio, caption), (caption, audio)):
            assert post_form(front, persona_id, "hear", *parts).status_code == 200
        longer = ("form-data; name=caption", b"x" * 65_537)
        much_longer = ("form-data; name=caption", b"x" * 300_000)
        for refused in (longer, much_longer):
            answer = post_form(front, persona_id, "hear", audio, refused)
            assert answer.status_code == 413
            assert "65536 characters" in detail_of(answer)
    assert len(media(front, persona_id)) == 2


def test_of_two_files_the_last_counts(front: DaemonProcess, make: Make) -> None:
    """The last file counts, as in the documented system; the first leaves nothing, and unknown fields are ignored."""
    persona_id = make()
    with front.socket(f"/ws/{persona_id}"):
        answer = post_form(
            front,
            persona_id,
            "attach",
            ('form-data; name="file"; filename="one.png"', b"1"),
            ('form-data; name="other"; filename="x.exe"', b"MZ"),
            ('form-data; name="file"; filename="two.txt"', b"2"),
        )
        assert answer.status_code == 200
    [file] = media(front, persona_id)
    assert (file.read_bytes(), file.suffix) == (b"2", ".txt")


def test_signals_as_for_read(front: DaemonProcess, make: Make) -> None:
    """Her sockets get a signal with the caption, and her answer comes as a chat frame."""
    persona_id = make()
    with Listener(front, persona_id) as listener:
        assert send(front, persona_id, "hear", "q.webm", b"x", "quick question for you").status_code == 200
        listener.hears("quick question for you")
        heard = [frame for frame in listener.frames if frame.get("title") == "Heard"]
    assert [frame["details"]["content"] for frame in heard] == ["quick question for you"]


def test_speech_is_answered_in_the_documented_frame(front: DaemonProcess, make: Make, mind: OpenAIEmulator) -> None:
    """``hear`` is answered by a ``chat_audio`` frame as the description has it, and its recording is there to fetch.

    The frame of a reconnect is the same; a recording that was attached is answered in writing.
    """
    keys = ("model", "provider", "url", "api_key")
    organs = {
        f"{organ}_{key}": value
        for organ in ("ear", "mouth")
        for key, value in zip(keys, ("m", "openai", mind.url, "k"), strict=True)
    }
    persona_id = make(**organs)
    with Listener(front, persona_id) as listener:
        assert send(front, persona_id, "hear", "clip.ogg", samples.ogg()).status_code == 200
        [frame] = wait_for(lambda: [one for one in listener.frames if one["type"] == "chat_audio"], "speech")
        assert send(front, persona_id, "attach", "meeting.ogg", samples.ogg()).status_code == 200
        written = wait_for(lambda: listener.words, "the written answer")
    described = document()["components"]["schemas"]["ChatFrame"]
    assert set(frame) == set(described["properties"]) - {"hushed"}
    assert set(described["required"]) == set(frame) - {"url", "turn"}
    assert set(described["properties"]["type"]["enum"]) == {"chat_message", "chat_audio", "chat_image"}
    assert "hello from the recording" in frame["content"]
    assert (frame["persona_id"], len(written)) == (persona_id, 1)
    recording = front.http.get(frame["url"])
    sentences = [one for one in listener.frames if one["type"] == "chat_speech"]
    assert [one["number"] for one in sentences] == list(range(1, len(sentences) + 1))
    whole = joined([samples.ogg()] * max(1, len(sentences)))
    assert (recording.headers["content-type"], recording.content) == ("audio/ogg", whole)
    with Listener(front, persona_id, after=0) as again:
        # Only the turn is left out: nothing of it is in hand any more.
        del frame["turn"]
        wait_for(lambda: frame in again.frames, "the frame of a reconnect")


def test_the_embedded_mind_says_what_it_lacks(front: DaemonProcess) -> None:
    """Without organs the file is kept, and she says that she cannot perceive it."""
    persona_id = front.create("Adam")
    try:
        with Listener(front, persona_id) as listener:
            for filename, organ in (("a.png", "an eye"), ("a.ogg", "an ear"), ("a.pdf", "a researcher")):
                assert send(front, persona_id, "attach", filename, b"data").status_code == 200
                listener.hears("nothing to perceive it with", organ)
        assert len(media(front, persona_id)) == 3
    finally:
        front.http.post(f"/api/persona/{persona_id}/delete")


def test_idempotency_key_makes_one_upload(front: DaemonProcess, make: Make) -> None:
    """A repeated upload is acknowledged again and its file dropped; an invalid key is 400."""
    persona_id = make()
    with front.socket(f"/ws/{persona_id}"):
        for key in ("k1", "k1", "k2"):
            answer = send(front, persona_id, "hear", "a.wav", b"again", **{"Idempotency-Key": key})
            assert (answer.status_code, answer.json()) == (200, {"status": "received"})
        assert len(media(front, persona_id)) == 2
        answer = send(front, persona_id, "hear", "a.wav", b"again", **{"Idempotency-Key": "a b"})
        assert answer.status_code == 400
        assert "Idempotency-Key" in detail_of(answer)
    assert len(media(front, persona_id)) == len(person_lines(front, persona_id)) == 2
