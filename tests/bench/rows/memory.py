"""Memory: the cost of one more persona, and of ten of them together with the daemon and the zygote."""

from __future__ import annotations

from typing import Final

from tests.bench import processes
from tests.bench.client import WebSocket
from tests.bench.figures import median, megabytes
from tests.bench.stand import QUESTION, create, greetings, pids, program, reboot, running_daemon
from tests.bench.table import Line
from tests.daemon_process import DaemonProcess
from tests.emulators.openai import OpenAIEmulator

PERSONAS: Final = 10
GOAL_UNIQUE: Final = 7_000_000
GOAL_TOGETHER: Final = 400_000_000


def measure() -> list[Line]:
    """Ten personas of each kind of mind, each after an answer, against Python with a worker's imports."""
    with greetings() as listening, program("tests.bench.baselines.naive", listening.endpoint):
        naive = processes.memory(listening.wait()[1])
    lines = []
    with running_daemon() as daemon:
        lines += _lines("embedded mind", daemon, naive.uss, create(daemon, PERSONAS))
    with OpenAIEmulator() as emulator, running_daemon() as daemon:
        organs = {"thinking_provider": "openai", "thinking_url": emulator.url, "thinking_api_key": "k"}
        ids = create(daemon, PERSONAS, thinking_model="m", **organs)
        reboot(daemon)
        lines += _lines("OpenAI mind", daemon, naive.uss, ids)
    return lines


def _lines(mind: str, daemon: DaemonProcess, naive: int, ids: list[str]) -> list[Line]:
    fresh = _unique(daemon)
    for persona_id in ids:
        with WebSocket(daemon.port, f"/ws/{persona_id}") as socket:
            assert daemon.read(persona_id, QUESTION).status_code == 200
            socket.wait_for(b'"chat_message"')
    unique, together = _unique(daemon), processes.pss(daemon.pid)
    return [
        Line(
            f"USS of a running persona, {mind}: ready; after an answer (baseline: python with a worker's imports)",
            megabytes(naive),
            f"{megabytes(median(fresh))}; {megabytes(median(unique))}",
            median(unique) / naive,
            "<= 7 MB",
            median(unique) <= GOAL_UNIQUE,
            {"naive": naive, "fresh": median(fresh), "answered": median(unique)},
        ),
        Line(
            f"PSS of {PERSONAS} personas, daemon and zygote, {mind} (baseline: {PERSONAS} times the above)",
            megabytes(PERSONAS * naive),
            megabytes(together),
            together / (PERSONAS * naive),
            "< 400 MB",
            together < GOAL_TOGETHER,
            {"pss": together},
        ),
    ]


def _unique(daemon: DaemonProcess) -> list[int]:
    return [processes.memory(pid).uss for pid in pids(daemon).values()]
