"""Uploads when things go wrong: kills, full disks, daemons that stop, and large files."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from functools import partial

import httpx
import pytest

from tests.daemon.api.uploading import (
    BOUNDARY,
    Make,
    answer_of,
    begin,
    detail_of,
    first_part,
    has_five,
    make_eve,
    media,
    person_lines,
    post_raw,
    resident,
    send,
)
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.openai import OpenAIEmulator
from tests.observed import events
from tests.patience import PATIENCE


@pytest.mark.frugal
def test_a_large_file_is_never_whole_in_memory(daemon: DaemonProcess, mind: OpenAIEmulator) -> None:
    """40 MB are received while the daemon grows by less than 10 MB, and are served unchanged."""
    eve = make_eve(daemon, mind)
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
    """Unfinished files, of an upload or of a gateway, are gone after the next start."""
    eve = make_eve(daemon, mind)
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
    """A marked file stays only if the ledger names it; a file without a mark is never touched."""
    eve = make_eve(daemon, mind)
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
    """Everything that was received before a SIGKILL is there after it: the line and the whole file."""
    eve = make_eve(daemon, mind)
    for round_ in range(3):
        received: list[str] = []
        data = bytes([round_]) * 300_000

        def upload(received: list[str] = received, data: bytes = data, round_: int = round_) -> None:
            with httpx.Client(base_url=daemon.url, timeout=PATIENCE, trust_env=False) as client:
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
            wait_for(partial(has_five, received), "some uploads")
            daemon.kill()
            thread.join(PATIENCE)
        daemon.start().ready()
        said = {line["content"]: line["media"] for line in person_lines(daemon, eve)}
        assert set(received) <= set(said)
        for caption in received:
            assert daemon.http.get(f"/api/persona/{eve}/media/{said[caption]}").content == data
    assert {file.name for file in media(daemon, eve)} == {line["media"] for line in person_lines(daemon, eve)}


def test_a_disk_without_room_is_507(daemon: DaemonProcess, mind: OpenAIEmulator) -> None:
    """A file that does not fit leaves nothing, whether the file or the ledger finds no room; later all continues."""
    eve = make_eve(daemon, mind)
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
    """If she is stopped or deleted during an upload, the answer is 409 and nothing is left."""
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
    """A daemon that is asked to stop does not wait forever for an upload, and leaves nothing of it."""
    eve = make_eve(daemon, mind)
    with daemon.socket(f"/ws/{eve}"), begin(daemon, eve, "hear", "Content-Length: 10000000") as connection:
        connection.sendall(first_part("hear") + b"x" * 100_000)
        wait_for(lambda: media(daemon, eve), "the part")
        # The peer waits for an answer and sends no more: only a daemon that gives it up can end.
        assert daemon.stop() == 0
        assert answer_of(connection)[0] == 503
    assert media(daemon, eve) == []
    assert "Traceback" not in daemon.log.read_text()
