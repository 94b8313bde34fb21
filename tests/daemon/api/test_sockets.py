"""The sockets stream her chat and signals, in order, and give back what a reconnecting client missed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.openai import OpenAIEmulator
from tests.patience import PATIENCE

Make = Callable[..., str]


def frames(socket: ClientConnection) -> Iterator[dict[str, Any]]:
    """Yield every frame."""
    while True:
        frame = json.loads(socket.recv(timeout=PATIENCE))
        assert isinstance(frame, dict)
        yield frame


def chat(socket: ClientConnection) -> dict[str, Any]:
    """The next chat frame."""
    return next(frame for frame in frames(socket) if frame["type"] == "chat_message")


def close_code(socket: ClientConnection) -> int | None:
    """Read until the daemon closes, and return its close code; None when it just went."""
    with pytest.raises(ConnectionClosed) as closed:
        for _ in frames(socket):
            pass
    return closed.value.rcvd.code if closed.value.rcvd else None


def refused(front: DaemonProcess, path: str) -> tuple[int, str]:
    """The status and detail with which a handshake is refused."""
    with pytest.raises(InvalidStatus) as refusal:
        front.socket(path)
    response = refusal.value.response
    return response.status_code, json.loads(response.body or b"{}").get("detail", "")


def test_replay_after_a_reconnect(front: DaemonProcess, make: Make) -> None:
    """A client that comes back with its last seq gets what was said meanwhile, once and in order."""
    persona_id = make()
    with front.socket(f"/ws/{persona_id}") as socket:
        front.read(persona_id, "first")
        seen = chat(socket)["seq"]
    front.read(persona_id, "second")

    def answered() -> bool:
        lines = front.http.get(f"/api/persona/{persona_id}/conversation").json()["messages"]
        return len(lines) == 4

    wait_for(answered, "the second answer")
    with front.socket(f"/ws/{persona_id}?after={seen}") as socket:
        frame = chat(socket)
        assert "second" in frame["content"]
        front.read(persona_id, "third")
        received = [frame, chat(socket)]
    with front.socket(f"/ws/{persona_id}?after=0") as socket:
        again = [chat(socket) for _ in range(3)]
    assert [one["seq"] for one in again] == sorted({seen, *(one["seq"] for one in received)})


def test_replay_after_the_daemon_was_killed(daemon: DaemonProcess, mind: OpenAIEmulator) -> None:
    """Chat frames outlive the daemon, but not the number of their turn; frames after it have larger numbers."""
    eve = daemon.create(
        "Eve", thinking_model="m", thinking_provider="openai", thinking_url=mind.url, thinking_api_key="k"
    )
    with daemon.socket(f"/ws/{eve}") as socket:
        daemon.read(eve, "before")
        before = chat(socket)
    daemon.kill()
    daemon.start().ready()
    with daemon.socket(f"/ws/{eve}?after={before['seq'] - 1}") as socket:
        assert chat(socket) == {name: value for name, value in before.items() if name != "turn"}
        daemon.read(eve, "after")
        assert chat(socket)["seq"] > before["seq"]


def test_signals_go_to_her_sockets_and_system_only(front: DaemonProcess, make: Make) -> None:
    """Her socket and /ws/system get her signals; other personas' sockets do not, and /ws/system gets no chat."""
    eve, adam = make("Eve"), make("Adam")
    with front.socket(f"/ws/{eve}") as hers, front.socket(f"/ws/{adam}") as his, front.socket("/ws/system") as system:
        front.read(eve, "private words")
        signal = next(frame for frame in frames(hers) if frame.get("title") == "Said")
        assert set(signal) == {"type", "title", "time", "details", "seq"}
        assert signal["details"]["persona"] == {"id": eve, "name": "Eve"}
        assert signal["time"] > 10**18
        seen = []
        for frame in frames(system):
            assert not frame["type"].startswith("chat")
            seen.append(frame)
            if frame["title"] == "Said":
                break
        assert seen[-1] == signal
        front.read(adam, "to him")
        first = next(frames(his))
        assert first.get("persona_id", first.get("details", {}).get("persona", {}).get("id")) == adam


def test_socket_of_a_stopped_persona_wakes_with_her(front: DaemonProcess, make: Make) -> None:
    """A socket opened while she is stopped gets chat as soon as she runs, without a reconnect."""
    persona_id = make()
    front.http.post(f"/api/persona/{persona_id}/stop")
    with front.socket(f"/ws/{persona_id}") as socket:
        assert front.read(persona_id, "hi").status_code == 409
        front.http.post(f"/api/persona/{persona_id}/start")
        assert front.read(persona_id, "hi again").status_code == 200
        assert "hi again" in chat(socket)["content"]


def test_web_channel_survives_her_restart(front: DaemonProcess, make: Make) -> None:
    """After a restart the channel is open again by itself while a socket is connected."""
    persona_id = make()
    with front.socket(f"/ws/{persona_id}") as socket:
        front.http.post(f"/api/persona/{persona_id}/restart")
        assert front.read(persona_id, "still there?").status_code == 200
        assert "still there?" in chat(socket)["content"]


def test_refused_handshakes(front: DaemonProcess, make: Make) -> None:
    """An unknown persona, an unknown path and a bad seq are plain HTTP errors, before any socket opens."""
    assert refused(front, f"/ws/{uuid.uuid4()}") == (404, "Persona not found.")
    assert refused(front, "/ws/nobody") == (404, "Persona not found.")
    assert refused(front, "/ws")[0] == 404
    assert refused(front, "/nothing")[0] == 404
    persona_id = make()
    for after in ("x", "-1", "1.5", "", "9" * 30, "%00"):
        status, detail = refused(front, f"/ws/{persona_id}?after={after}")
        assert status == 400
        assert "after" in detail


def test_what_clients_send_is_ignored(front: DaemonProcess, make: Make) -> None:
    """Text, bytes and broken JSON change nothing; a message over the limit closes only that socket."""
    persona_id = make()
    with front.socket(f"/ws/{persona_id}") as socket:
        for message in ("hello", b"\x00\xff", "{", '{"type": "chat_message"}'):
            socket.send(message)
        front.read(persona_id, "over HTTP")
        assert "over HTTP" in chat(socket)["content"]
        with suppress(ConnectionClosed):
            socket.send("x" * 1_000_000)
        assert close_code(socket) == 1009
    assert front.http.get("/livez").status_code == 200


def test_deleting_her_closes_her_sockets(front: DaemonProcess, make: Make) -> None:
    """Her sockets are closed normally, so that no client waits for her."""
    persona_id = make()
    with front.socket(f"/ws/{persona_id}") as socket:
        front.http.post(f"/api/persona/{persona_id}/delete")
        assert close_code(socket) == 1000


def test_stopping_the_daemon_closes_sockets(daemon: DaemonProcess) -> None:
    """Clients get 1012, which asks them to reconnect."""
    with daemon.socket("/ws/system") as socket:
        assert daemon.stop() == 0
        assert close_code(socket) == 1012


def test_sockets_are_limited(tmp_path: Path) -> None:
    """The socket over the limit is 503 with Retry-After; when one closes there is room again."""
    daemon = DaemonProcess(tmp_path / "state", {"PERSONAD_LIMITS_SOCKETS": "3"})
    try:
        daemon.start()
        with ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(daemon.socket("/ws/system"))
            status, detail = refused(daemon, "/ws/system")
            assert status == 503
            assert "limits.sockets" in detail

        def has_room() -> bool:
            try:
                with daemon.socket("/ws/system"):
                    return True
            except InvalidStatus:
                return False

        wait_for(has_room, "room for a socket")
    finally:
        daemon.close()


def test_slow_reader_delays_nobody(front: DaemonProcess, make: Make) -> None:
    """A client that does not read delays no other, is dropped, and gets everything after it reconnects."""
    persona_id = make()
    count, words = 120, "x" * 60_000
    with front.socket(f"/ws/{persona_id}", max_queue=1) as slow, front.socket(f"/ws/{persona_id}") as quick:
        answers = []
        for number in range(count):
            assert front.read(persona_id, f"{number} {words}").status_code == 200
            answers.append(chat(quick)["content"].split()[0])
        assert answers == [str(number) for number in range(count)]
        assert close_code(slow) in (1013, None)
    with front.socket(f"/ws/{persona_id}?after=0") as again:
        replayed = [chat(again)["content"].split()[0] for _ in range(count)]
    assert replayed == answers
