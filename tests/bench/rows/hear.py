"""Time from ``hear`` to the reply: a spoken question, answered by voice on the WebSocket, all embedded."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

from proto.host import Speak
from proto.records import EMBEDDED, EMBEDDED_MIND, EMBEDDED_SENSES
from tests.bench.client import WebSocket
from tests.bench.figures import median
from tests.bench.stand import QUESTION, create, running_daemon
from tests.bench.table import Line
from tests.daemon_process import DaemonProcess
from tests.organ_host_process import OrganHostProcess

ROUNDS: Final = 5
GOAL: Final = 3.0
"""Seconds, once the models are loaded."""


def measure() -> list[Line]:
    """Ask her name in her own voice, starting without an organ host."""
    models = {"thinking": EMBEDDED_MIND, "ear": EMBEDDED_SENSES["ear"], "mouth": EMBEDDED_SENSES["mouth"]}
    organs = {f"{organ}_model": model for organ, model in models.items()}
    organs |= {f"{organ}_provider": EMBEDDED for organ in models}
    clip = _clip()
    with running_daemon() as daemon:
        (persona_id,) = create(daemon, 1, **organs)
        with WebSocket(daemon.port, f"/ws/{persona_id}") as socket:
            taken = [_reply(daemon, persona_id, socket, clip) for _ in range(1 + ROUNDS)]
    cold, warm = taken[0], median(taken[1:])
    return [
        Line(
            "hear to chat_audio, embedded ear, mind and mouth: first, with loading; then",
            "",
            f"{cold:.1f} s; {warm:.2f} s",
            None,
            f"<= {GOAL:g} s",
            warm <= GOAL,
            {"cold": cold, "warm": warm},
        )
    ]


def _clip() -> bytes:
    with tempfile.TemporaryDirectory(prefix="personad-bench-") as folder:
        host = OrganHostProcess(Path(folder))
        try:
            return (Path(folder) / str(host.ask(Speak(1, QUESTION, folder)).media)).read_bytes()
        finally:
            host.close()


def _reply(daemon: DaemonProcess, persona_id: str, socket: WebSocket, clip: bytes) -> float:
    begun = time.perf_counter()
    answer = daemon.http.post(f"/api/persona/{persona_id}/hear", files={"audio": ("clip.ogg", clip)})
    assert answer.status_code == 200, answer.text
    socket.wait_for(b'"chat_audio"')
    return time.perf_counter() - begun
