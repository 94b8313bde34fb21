"""Streaming: how late the first words come, and what sixteen answers at once cost."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Final

import msgspec

from tests.bench import processes
from tests.bench.baselines.speaking import PACE
from tests.bench.client import WebSocket
from tests.bench.figures import median, percentile, spread
from tests.bench.stand import create, program, reboot, running_daemon, server
from tests.bench.table import Line
from tests.daemon_process import DaemonProcess

PERSONAS: Final = 16
TOKENS: Final = 1000
ROUNDS: Final = 3
GOAL_LATE: Final = 0.05
GOAL_SHARE: Final = 0.5


class Listened(msgspec.Struct):
    """What the baseline prints."""

    late: list[float]
    seconds: float


class Delta(msgspec.Struct):
    """A frame of a draft."""

    text: str


def measure() -> list[Line]:
    """Sixteen personas begin one after another, then speak at once, beside a program that only reads their minds."""
    read, late, shares = list[Listened](), list[float](), list[float]()
    with server("tests.bench.baselines.speaking", str(TOKENS)) as (_, port), running_daemon() as daemon:
        organs = {"thinking_provider": "openai", "thinking_url": f"http://127.0.0.1:{port}", "thinking_api_key": "k"}
        ids = create(daemon, PERSONAS, thinking_model="m", **organs)
        reboot(daemon)
        for _ in range(ROUNDS):
            with program("tests.bench.baselines.listening", str(port), str(PERSONAS)) as listening:
                read.append(msgspec.json.decode(listening.communicate()[0], type=Listened))
            with ExitStack() as stack:
                sockets = [stack.enter_context(WebSocket(daemon.port, f"/ws/{one}")) for one in ids]
                late += [_late(daemon, one, socket) for one, socket in zip(ids, sockets, strict=True)]
                before, begun = processes.processor_seconds(daemon.pid), time.monotonic()
                for one in ids:
                    assert daemon.read(one, "hi").status_code == 200
                for socket in sockets:
                    socket.wait_for(b'"chat_message"')
                spent = processes.processor_seconds(daemon.pid) - before
                shares.append(spent / (time.monotonic() - begun))
    bare_late = [value for one in read for value in one.late]
    bare = median([one.seconds for one in read]) / (TOKENS * PACE)
    share = median(shares)
    return [
        Line(
            "a mind's first token to the first delta on the socket (baseline: OpenAI's client reads it)",
            spread(bare_late),
            spread(late),
            median(late) / median(bare_late),
            "p95 <= 50 ms",
            percentile(late, 95) <= GOAL_LATE,
            {"bare_p50": median(bare_late), "p50": median(late), "p95": percentile(late, 95)},
        ),
        Line(
            f"processor time of {PERSONAS} personas that say 100 tokens a second each, all processes"
            " (baseline: one program that reads the streams)",
            f"{bare:.0%} of a core",
            f"{share:.0%} of a core",
            share / bare,
            "< 50 %",
            share < GOAL_SHARE,
            {"bare": bare, "share": share},
        ),
    ]


def _late(daemon: DaemonProcess, persona_id: str, socket: WebSocket) -> float:
    """Have her begin an answer; return how long after its first token was said the first delta came."""
    assert daemon.read(persona_id, "hi").status_code == 200
    frame = socket.wait_for(b'"chat_delta"')
    late = time.monotonic() - float(msgspec.json.decode(frame, type=Delta).text.split()[0])
    assert daemon.http.post(f"/api/persona/{persona_id}/hush").json() == {"status": "hushed"}
    socket.wait_for(b'"hushed":true')
    return late
