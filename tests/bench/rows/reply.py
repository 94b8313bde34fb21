"""Reply latency: from sending a ``read`` to the chat frame on the WebSocket, one message at a time."""

from __future__ import annotations

import tempfile
import time
from typing import Final

import msgspec

from tests.bench.client import Connection, WebSocket, post
from tests.bench.figures import median, percentile, spread
from tests.bench.stand import QUESTION, create, program, running_daemon
from tests.bench.table import Line

MESSAGES: Final = 100
ROUNDS: Final = 3
GOAL_RATIO: Final = 3.0


def measure() -> list[Line]:
    """Chat with a mind that answers at once, in turn with single commits."""
    commits, replies = [], []
    with running_daemon() as daemon:
        (persona_id,) = create(daemon, 1)
        request = post(f"/api/persona/{persona_id}/read", daemon.port, {"message": QUESTION})
        with Connection(daemon.port) as connection, WebSocket(daemon.port, f"/ws/{persona_id}") as socket:
            for _ in range(ROUNDS):
                commits += _commits(MESSAGES)
                replies += [_reply(connection, socket, request) for _ in range(MESSAGES)]
    ratio = median(replies) / median(commits)
    return [
        Line(
            "read to chat frame, a mind that answers at once (baseline: one commit)",
            spread(commits),
            spread(replies),
            ratio,
            "p50 <= 3 times",
            ratio <= GOAL_RATIO,
            {"commit_p50": median(commits), "p50": median(replies), "p95": percentile(replies, 95)},
        )
    ]


def _commits(count: int) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="personad-bench-") as folder:
        with program("tests.bench.baselines.commit", f"{folder}/ledger.db", str(count)) as committing:
            output, _ = committing.communicate()
        return msgspec.json.decode(output, type=list[float])


def _reply(connection: Connection, socket: WebSocket, request: bytes) -> float:
    begun = time.perf_counter()
    connection.send(request)
    socket.wait_for(b'"chat_message"')
    taken = time.perf_counter() - begun
    connection.receive()
    return taken
