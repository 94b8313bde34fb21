"""Start: from the exec of Python to the first answer, and until twenty personas run."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Final

import msgspec

from tests.bench.client import Connection, get
from tests.bench.figures import median, percentile, spread
from tests.bench.stand import create, fresh_daemon, program, wait_for_port
from tests.bench.table import Line
from tests.daemon_process import DaemonProcess, free_port, wait_for

PERSONAS: Final = 20
ROUNDS: Final = 7
GOAL_ANSWER: Final = 0.5
GOAL_READY: Final = 1.0


class Event(msgspec.Struct):
    """A line of the daemon's log."""

    time: datetime
    event: str


def measure() -> list[Line]:
    """Start a daemon with twenty personas repeatedly, in turn with bare Starlette."""
    bare, answers, warm_to_ready, exec_to_ready = [], [], [], []
    with fresh_daemon() as daemon:
        create(daemon.start().ready(), PERSONAS)
        daemon.stop()
        for _ in range(ROUNDS):
            bare.append(_bare_start())
            daemon.log.write_bytes(b"")
            begun, started_at = time.perf_counter(), time.time()
            daemon.spawn()
            wait_for_port(daemon.port)
            _ask(daemon.port)
            answers.append(time.perf_counter() - begun)
            events = wait_for(lambda: _ready_events(daemon), "all personas")
            warm_to_ready.append(max(0.0, events["daemon.ready"] - events["zygote.warm"]))
            exec_to_ready.append(events["daemon.ready"] - started_at)
            daemon.stop()
    return [
        Line(
            f"start with {PERSONAS} personas to the first answer of /livez (baseline: bare uvicorn + Starlette)",
            spread(bare),
            spread(answers),
            median(answers) / median(bare),
            "<= 500 ms",
            median(answers) <= GOAL_ANSWER,
            {"bare_p50": median(bare), "p50": median(answers), "p95": percentile(answers, 95)},
        ),
        Line(
            f"{PERSONAS} personas ready after the zygote is warm; after the exec",
            "",
            f"{spread(warm_to_ready)}; {spread(exec_to_ready)}",
            None,
            "<= 1 s after warm",
            median(warm_to_ready) <= GOAL_READY,
            {"warm_to_ready_p50": median(warm_to_ready), "exec_to_ready_p50": median(exec_to_ready)},
        ),
    ]


def _bare_start() -> float:
    port = free_port()
    begun = time.perf_counter()
    with program("tests.bench.baselines.front", str(port)):
        wait_for_port(port)
        _ask(port)
        return time.perf_counter() - begun


def _ask(port: int) -> None:
    with Connection(port) as connection:
        connection.request(get("/livez", port))


def _ready_events(daemon: DaemonProcess) -> dict[str, float]:
    """Return when each event of the log first happened, once ``daemon.ready`` is among them."""
    found: dict[str, float] = {}
    for line in daemon.log.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            event = msgspec.json.decode(line, type=Event)
            found.setdefault(event.event, event.time.timestamp())
    return found if "daemon.ready" in found else {}
