"""The front's memory: only the daemon process, with twenty personas and some traffic behind it."""

from __future__ import annotations

from typing import Final

from tests.bench import processes
from tests.bench.client import WebSocket, post
from tests.bench.figures import megabytes
from tests.bench.load import load
from tests.bench.rows.read import BARE_PATH
from tests.bench.stand import QUESTION, create, running_daemon, server, wait_until_answered
from tests.bench.table import Line

PERSONAS: Final = 20
TALKED_TO: Final = 5
MESSAGES: Final = 2000
GOAL: Final = 45_000_000


def measure() -> list[Line]:
    """Compare with a bare uvicorn + Starlette process after the same number of requests."""
    with server("tests.bench.baselines.front") as (process, port):
        load(port, post(BARE_PATH, port, {"message": QUESTION}), 10.0, most=TALKED_TO * MESSAGES)
        bare = processes.memory(process.pid).rss
    with running_daemon({"PERSONAD_LIMITS_INBOX": "100000"}) as daemon:
        ids = create(daemon, PERSONAS)
        quiet = processes.memory(daemon.pid).rss
        for persona_id in ids[:TALKED_TO]:
            with WebSocket(daemon.port, f"/ws/{persona_id}") as socket:
                socket.drain()
                path = f"/api/persona/{persona_id}/read"
                load(daemon.port, post(path, daemon.port, {"message": QUESTION}), 10.0, most=MESSAGES)
        wait_until_answered(daemon)
        busy = processes.memory(daemon.pid).rss
    return [
        Line(
            f"RSS of the daemon process, {PERSONAS} personas: quiet; after {TALKED_TO * MESSAGES:,} messages"
            " (baseline: bare uvicorn + Starlette)",
            megabytes(bare),
            f"{megabytes(quiet)}; {megabytes(busy)}",
            busy / bare,
            "<= 45 MB",
            busy <= GOAL,
            {"bare": bare, "quiet": quiet, "busy": busy},
        )
    ]
