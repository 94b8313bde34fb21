"""``hear`` and ``attach`` as the perception seed says; what is received is whole, kept and answered, the rest leaves
nothing behind."""

from __future__ import annotations

import resource
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from proto.perception import EXTENSIONS
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.openai import OpenAIEmulator
from tests.listener import Listener
from tests.observed import events

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
        f"/api/persona/{persona_id}/{route}", content=body, headers={"content-type": content_type}, timeout=60
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
    connection = socket.create_connection(("127.0.0.1", daemon.port), timeout=20)
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


# What is received


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_attach_routes_by_extension(front: DaemonProcess, make: Make, extension: str) -> None:
    """Each documented extension, in any letter case, is received, shown with its caption and served whole."""
    persona_id, data = make(), b"\x00\r\n--x\xff" * 100
    with front.socket(f"/ws/{persona_id}"):
        answer = send(front, persona_id, "attach", f"Some File{extension.upper()}", data, "what do you make of this?")
        assert (answer.status_code, answer.json()) == (200, {"status": "received"})
    [line] = person_lines(front, persona_id)
    assert line["content"] == "what do you make of this?"
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
    """hear refuses no extension, takes .webm for none, and leaves out what is odd in one; all stays in her folder."""
    persona_id = make()
    disposition = f'form-data; name="audio"; filename="{filename}"'
    with front.socket(f"/ws/{persona_id}"):
        assert post_form(front, persona_id, "hear", (disposition, b"RIFF")).status_code == 200
    [line] = person_lines(front, persona_id)
    assert line["content"] == ""
    assert line["media"].startswith("audio-")
    assert line["media"].partition(".")[2] == stored[1:]
    [file] = media(front, persona_id)
    assert (file.name, file.read_bytes(), file.stat().st_mode & 0o777) == (line["media"], b"RIFF", 0o600)


def test_an_empty_file_and_a_long_caption(front: DaemonProcess, make: Make) -> None:
    """A file of no bytes is a file; a caption has up to limits.message_chars characters, wherever it stands."""
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
    """As in the documented system; the first leaves nothing, and unknown fields are ignored."""
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
    """Her sockets see that she heard, with the caption, and her answer comes as a chat frame."""
    persona_id = make()
    with Listener(front, persona_id) as listener:
        assert send(front, persona_id, "hear", "q.webm", b"x", "quick question for you").status_code == 200
        listener.hears("quick question for you")
        heard = [frame for frame in listener.frames if frame.get("title") == "Heard"]
    assert [frame["details"]["content"] for frame in heard] == ["quick question for you"]


def test_the_embedded_mind_says_what_it_lacks(front: DaemonProcess) -> None:
    """Without organs the file is kept, and she says that she has nothing to perceive it with."""
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
    """A repeated upload is received again and its file dropped; a key that cannot be kept is 400."""
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


# What is refused


@pytest.mark.parametrize("route", ["hear", "attach"])
def test_missing_parts_are_422_before_anything(front: DaemonProcess, make: Make, route: str) -> None:
    """What holds no such file is 422 with FastAPI's words, even before her id is looked at."""
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
    """A form that breaks its own rules or ends too early is the client's fault, says what to do, and leaves nothing."""
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
    """A declared length is refused by itself; an undeclared one while it is sent. Both name the limit."""
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
    """limits.upload counts the file alone; http.max_body goes on to hold for everything else."""
    daemon = DaemonProcess(
        tmp_path / "state", {"PERSONAD_LIMITS_UPLOAD": "2000000", "PERSONAD_HTTP_MAX_BODY": "100000"}
    )
    try:
        eve = _eve(daemon.start(), mind)
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
    """A few uploads may be under way; one more is told to come again, and gets its turn when one has gone."""
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
    """A file that the inbox does not take is not kept."""
    daemon = DaemonProcess(tmp_path / "state", {"PERSONAD_LIMITS_INBOX": "2"})
    try:
        eve = _eve(daemon.start(), mind)
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


# What goes wrong


def test_a_large_file_is_never_whole_in_memory(daemon: DaemonProcess, mind: OpenAIEmulator) -> None:
    """40 MB come in while the daemon grows by less than 10, and go out again as they came."""
    eve = _eve(daemon, mind)
    piece = bytes(range(256)) * 4096
    with daemon.socket(f"/ws/{eve}"):
        assert send(daemon, eve, "attach", "small.txt", b"x").status_code == 200
        before, most = resident(daemon), 0

        def body() -> Iterator[bytes]:
            nonlocal most
            yield first_part("attach", "big.wav")
            for _ in range(40):
                yield piece
                most = max(most, resident(daemon))
            yield f"\r\n--{BOUNDARY}--\r\n".encode()

        assert post_raw(daemon, eve, "attach", body()).status_code == 200
    assert max(most, resident(daemon)) - before < 10_000_000
    [big] = [file for file in media(daemon, eve) if file.suffix == ".wav"]
    assert big.read_bytes() == piece * 40


def test_a_kill_in_the_middle_leaves_nothing(daemon: DaemonProcess, mind: OpenAIEmulator) -> None:
    """What was under way when the daemon was killed, or left by a gateway, is gone after the next start."""
    eve = _eve(daemon, mind)
    with daemon.socket(f"/ws/{eve}"):
        connection = begin(daemon, eve, "hear", "Content-Length: 10000000")
        connection.sendall(first_part("hear") + b"x" * 100_000)
        [part] = wait_for(lambda: media(daemon, eve), "the part")
        wait_for(lambda: part.stat().st_size > 50_000, "some of it on disk")
        daemon.kill()
        connection.close()
    part.with_name(".part-0123456789abcdef").write_bytes(b"of a gateway")
    assert len(media(daemon, eve)) == 2
    daemon.start().ready()
    assert media(daemon, eve) == []
    assert person_lines(daemon, eve) == []


def test_a_kill_between_file_and_ledger_is_settled(daemon: DaemonProcess, mind: OpenAIEmulator) -> None:
    """A file in doubt stays only where the ledger speaks of it; one without a mark is never touched."""
    eve = _eve(daemon, mind)
    with daemon.socket(f"/ws/{eve}"):
        assert send(daemon, eve, "hear", "a.wav", b"spoken of").status_code == 200
    daemon.kill()
    [spoken_of] = media(daemon, eve)
    spoken_of.with_name(f".part-{spoken_of.name}").hardlink_to(spoken_of)
    unheard = spoken_of.with_name("audio-" + "0" * 32 + ".wav")
    unheard.write_bytes(b"never committed")
    unheard.with_name(f".part-{unheard.name}").hardlink_to(unheard)
    mine = spoken_of.with_name("mine.txt")
    mine.write_bytes(b"put there by hand")
    daemon.start().ready()
    assert media(daemon, eve) == sorted([spoken_of, mine])


def test_a_kill_after_received_loses_nothing(daemon: DaemonProcess, mind: OpenAIEmulator) -> None:
    """Whatever was received before a SIGKILL is there after it: the line, the file, every byte."""
    eve = _eve(daemon, mind)
    for round_ in range(3):
        received: list[str] = []
        data = bytes([round_]) * 300_000

        def upload(received: list[str] = received, data: bytes = data, round_: int = round_) -> None:
            with httpx.Client(base_url=daemon.url, timeout=20, trust_env=False) as client:
                for number in range(1000):
                    caption = f"clip {round_}.{number}"
                    try:
                        answer = client.post(
                            f"/api/persona/{eve}/hear", files={"audio": ("a.wav", data)}, data={"caption": caption}
                        )
                    except httpx.TransportError:
                        return
                    if answer.status_code == 200:
                        received.append(caption)

        with daemon.socket(f"/ws/{eve}"):
            thread = threading.Thread(target=upload)
            thread.start()
            wait_for(partial(_has_five, received), "some uploads")
            daemon.kill()
            thread.join(20)
        daemon.start().ready()
        said = {line["content"]: line["media"] for line in person_lines(daemon, eve)}
        assert set(received) <= set(said)
        for caption in received:
            assert daemon.http.get(f"/api/persona/{eve}/media/{said[caption]}").content == data
    assert {file.name for file in media(daemon, eve)} == {line["media"] for line in person_lines(daemon, eve)}


def test_a_disk_without_room_is_507(daemon: DaemonProcess, mind: OpenAIEmulator) -> None:
    """A file that does not fit leaves nothing, in the middle or at the ledger; with room again all goes on."""
    eve = _eve(daemon, mind)
    with daemon.socket(f"/ws/{eve}"):
        for most in (200_000, 0):
            resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
            answer = send(daemon, eve, "attach", "a.txt", b"x" * 1_000_000)
            assert answer.status_code == 507
            assert detail_of(answer).startswith("Nothing was kept")
            assert media(daemon, eve) == []
        # The file is empty and fits; the ledger's row does not.
        answer = send(daemon, eve, "attach", "a.txt", b"")
        assert answer.status_code == 507
        assert media(daemon, eve) == []
        assert daemon.http.get("/livez").status_code == 200
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert send(daemon, eve, "attach", "a.txt", b"kept", "kept").status_code == 200
    assert [line["content"] for line in person_lines(daemon, eve)] == ["kept"]
    assert not events(daemon, "media.upload_stays")


def test_she_goes_during_an_upload(front: DaemonProcess, make: Make) -> None:
    """Stopped or deleted while a file comes in: 409, and nothing is left."""
    for verb in ("stop", "delete"):
        persona_id = make()
        with front.socket(f"/ws/{persona_id}"):
            body = first_part("attach", "a.txt") + b"x" * 100_000 + f"\r\n--{BOUNDARY}--\r\n".encode()
            connection = begin(front, persona_id, "attach", f"Content-Length: {len(body)}")
            connection.sendall(body[:90_000])
            wait_for(partial(media, front, persona_id), "the part")
            front.http.post(f"/api/persona/{persona_id}/{verb}")
            connection.sendall(body[90_000:])
            assert answer_of(connection)[0] == 409
            connection.close()
        folder = front.state_dir / "personas" / persona_id
        assert not folder.exists() or media(front, persona_id) == []


def test_a_stop_ends_an_upload(daemon: DaemonProcess, mind: OpenAIEmulator) -> None:
    """A daemon that is asked to stop does not wait for an upload for ever, and leaves nothing of it."""
    eve = _eve(daemon, mind)
    with daemon.socket(f"/ws/{eve}"), begin(daemon, eve, "hear", "Content-Length: 10000000") as connection:
        connection.sendall(first_part("hear") + b"x" * 100_000)
        wait_for(lambda: media(daemon, eve), "the part")
        started = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - started < 15
        assert answer_of(connection)[0] == 503
    assert media(daemon, eve) == []
    assert "Traceback" not in daemon.log.read_text()


def _has_five(received: list[str]) -> bool:
    return len(received) >= 5


def _eve(daemon: DaemonProcess, mind: OpenAIEmulator) -> str:
    return daemon.create(
        "Eve", thinking_model="m", thinking_provider="openai", thinking_url=mind.url, thinking_api_key="k"
    )
