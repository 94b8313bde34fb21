"""What ``hear`` and ``attach`` refuse, in the documented order and with the documented texts, leaving nothing."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.daemon.api.uploading import (
    ACCEPTED,
    BOUNDARY,
    FIELD,
    LIMIT,
    Make,
    answer_of,
    begin,
    detail_of,
    first_part,
    make_eve,
    media,
    post_form,
    post_raw,
    send,
)
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.openai import OpenAIEmulator


@pytest.mark.parametrize("route", ["hear", "attach"])
def test_missing_parts_are_422_before_anything(front: DaemonProcess, make: Make, route: str) -> None:
    """A form without the file is 422 with FastAPI's text, even before her id is checked."""
    field = FIELD[route]
    missing = {"type": "missing", "loc": ["body", field], "msg": "Field required"}
    text = {
        "type": "value_error",
        "loc": ["body", field],
        "msg": "Value error, Expected UploadFile, received: <class 'str'>",
    }
    file = (f'form-data; name="{field}"; filename="a.wav"', b"x")
    captioned = {"type": "string_type", "loc": ["body", "caption"], "msg": "Input should be a valid string"}
    for persona_id in (make(), str(uuid.uuid4())):
        for answer, faults in (
            (post_form(front, persona_id, route, ("form-data; name=caption", b"hi")), [missing]),
            (post_form(front, persona_id, route, (f"form-data; name={field}", b"")), [missing]),
            (post_form(front, persona_id, route, (f"form-data; name={field}", b"text")), [text]),
            (post_form(front, persona_id, route, file, ('form-data; name=caption; filename="c"', b"")), [captioned]),
            (post_raw(front, persona_id, route, f"--{BOUNDARY}--\r\n".encode()), [missing]),
            (post_raw(front, persona_id, route, b'{"audio": "x"}', "application/json"), [missing]),
            (post_raw(front, persona_id, route, b"audio=x&file=x", "application/x-www-form-urlencoded"), [missing]),
            (front.http.post(f"/api/persona/{persona_id}/{route}"), [missing]),
        ):
            assert (answer.status_code, detail_of(answer)) == (422, faults)
        answer = post_form(front, persona_id, route, file, ("form-data; name=caption", b"\xff"))
        assert (answer.status_code, detail_of(answer)[0]["type"]) == (422, "string_unicode")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"--other\r\n\r\n",
        f"--{BOUNDARY}\r\nno header\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode(),
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; filename=x\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode(),
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; name={'x' * 100_000}\r\n\r\n".encode(),
        first_part("attach", "a.png") + b"data",
        first_part("attach", "a.png") + f"data\r\n--{BOUNDARY}".encode(),
        (first_part("attach", "a.png") + b"\r\n") * 101,
    ],
)
def test_malformed_forms_are_400(front: DaemonProcess, make: Make, body: bytes) -> None:
    """A form that is malformed or ends too early is 400 with what to do, and leaves nothing."""
    persona_id = make()
    with front.socket(f"/ws/{persona_id}"):
        answer = post_raw(front, persona_id, "attach", body)
        assert answer.status_code == 400
        assert "send" in detail_of(answer)
    assert media(front, persona_id) == []


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=" + "x" * 1000])
def test_a_form_without_a_usable_boundary_is_400(front: DaemonProcess, content_type: str) -> None:
    """A multipart type that does not say where the parts end."""
    answer = post_raw(front, str(uuid.uuid4()), "hear", b"x", content_type)
    assert answer.status_code == 400
    assert "multipart/form-data" in detail_of(answer)


@pytest.mark.parametrize("route", ["hear", "attach"])
def test_order_of_refusals(front: DaemonProcess, make: Make, route: str) -> None:
    """409 without a running persona, then 400 without her web channel, then 415; nothing is stored."""
    persona_id = make()
    answer = send(front, persona_id, route, "a.exe", b"x")
    assert (answer.status_code, detail_of(answer)) == (400, "Web channel not connected")
    front.http.post(f"/api/persona/{persona_id}/stop")
    for nobody in (persona_id, str(uuid.uuid4()), "nobody", "..", "%2e%2e%2f"):
        answer = send(front, nobody, route, "a.exe", b"x")
        if nobody in (persona_id, "nobody") or len(nobody) == 36:
            assert (answer.status_code, detail_of(answer)) == (409, "Persona is not active.")
        assert answer.status_code in (404, 405, 409)
    assert media(front, persona_id) == []


@pytest.mark.parametrize(
    ("filename", "shown"),
    [
        ("movie.MP4", ".mp4"),
        ("notes", "unknown"),
        ("", "unknown"),
        (".png", "unknown"),
        ("dir.png/notes", "unknown"),
        ("a.tar.gz", ".gz"),
        ("a.", "unknown"),
        ("a.p\x07g", ".p?g"),
        ("a.png ", ".png "),
    ],
)
def test_attach_of_an_unclaimed_extension_is_415(front: DaemonProcess, make: Make, filename: str, shown: str) -> None:
    """The detail names the extension, or unknown, and every accepted one in alphabetical order."""
    persona_id = make()
    with front.socket(f"/ws/{persona_id}"):
        answer = post_form(front, persona_id, "attach", (f'form-data; name="file"; filename="{filename}"', b"x"))
    expected = f"No perception capability for {shown}. Accepted: {ACCEPTED}."
    assert (answer.status_code, detail_of(answer)) == (415, expected)
    assert media(front, persona_id) == []


def test_a_body_over_the_limit_is_refused_before_it_is_sent(front: DaemonProcess, make: Make) -> None:
    """A declared length is refused at once, an undeclared one while it is sent. Both answers name the limit."""
    persona_id = make()
    with front.socket(f"/ws/{persona_id}"):
        with begin(front, persona_id, "hear", "Content-Length: 60000000") as connection:
            status, body = answer_of(connection)
        assert status == 413
        assert str(LIMIT).encode() in body
        with begin(front, persona_id, "hear", "Transfer-Encoding: chunked") as connection:
            piece = b"x" * 1_000_000
            sent = 0
            for data in (first_part("hear"), *[piece] * 53):
                connection.sendall(b"%x\r\n%b\r\n" % (len(data), data))
                sent += len(data)
            status, body = answer_of(connection)
        assert status == 413
        assert str(LIMIT).encode() in body
    wait_for(lambda: media(front, persona_id) == [], "nothing left")


def test_a_file_at_the_limit(tmp_path: Path, mind: OpenAIEmulator) -> None:
    """limits.upload counts only the file; http.max_body still holds for everything else."""
    daemon = DaemonProcess(
        tmp_path / "state", {"PERSONAD_LIMITS_UPLOAD": "2000000", "PERSONAD_HTTP_MAX_BODY": "100000"}
    )
    try:
        eve = make_eve(daemon.start(), mind)
        with daemon.socket(f"/ws/{eve}"):
            assert send(daemon, eve, "attach", "a.txt", b"x" * 2_000_000).status_code == 200
            answer = send(daemon, eve, "attach", "a.txt", b"x" * 2_000_001)
            assert answer.status_code == 413
            assert "2000000 bytes" in detail_of(answer)
            assert "limits.upload" in detail_of(answer)
            assert daemon.read(eve, "x" * 100_001).status_code == 413
            for path in (f"/api/persona/{eve}/hear/", f"/api/persona/{eve}/x/attach", "/hear"):
                assert daemon.http.post(path, content=b"x" * 100_001).status_code == 413
        assert len(media(daemon, eve)) == 1
    finally:
        daemon.close()


def test_too_many_uploads_at_once_are_503(front: DaemonProcess, make: Make) -> None:
    """A few uploads may be in progress; one more is asked to retry, and succeeds when another has ended."""
    persona_id = make()
    with front.socket(f"/ws/{persona_id}"):
        held = [begin(front, persona_id, "attach", "Content-Length: 1000") for _ in range(4)]
        for connection in held:
            connection.sendall(first_part("attach", "a.txt"))
        wait_for(lambda: len(media(front, persona_id)) == 4, "four files under way")
        answer = send(front, persona_id, "attach", "a.txt", b"x")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert front.read(persona_id, "a chat does not wait").status_code == 200
        for connection in held:
            connection.close()
        wait_for(lambda: media(front, persona_id) == [], "aborted uploads to leave nothing")
        wait_for(lambda: send(front, persona_id, "attach", "a.txt", b"x").status_code == 200, "a turn")


def test_full_inbox_is_429(tmp_path: Path, mind: OpenAIEmulator) -> None:
    """A file that the inbox has no room for is not kept."""
    daemon = DaemonProcess(tmp_path / "state", {"PERSONAD_LIMITS_INBOX": "2"})
    try:
        eve = make_eve(daemon.start(), mind)
        received = refused = 0
        with daemon.socket(f"/ws/{eve}"):
            while not refused:
                answer = send(daemon, eve, "attach", "a.txt", b"x")
                received += answer.status_code == 200
                refused += answer.status_code == 429
                assert received < 200
        assert len(media(daemon, eve)) == received
    finally:
        daemon.close()
