"""Restart: from stopping the old process until the new one is ready; end to end as the API's client sees it."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from tests.bench.client import Connection, WebSocket, post
from tests.bench.figures import median, percentile, spread
from tests.bench.stand import create, greetings, program, reboot, running_daemon
from tests.bench.table import Line
from tests.emulators.openai import OpenAIEmulator

ROUNDS: Final = 30
NAIVE_ROUNDS: Final = 5

GOAL_SECONDS: Final = 0.060
GOAL_RATIO: Final = 2.5


class Signal(msgspec.Struct):
    """A signal's frame; ``time`` is in epoch nanoseconds."""

    title: str
    time: int


def measure() -> list[Line]:
    """Restart a persona with each kind of mind, against a fork and against a full start of Python."""
    naive = naive_starts()
    bare = {kind: forks(kind) for kind in ("embedded", "openai")}
    embedded, gaps = restarts()
    with OpenAIEmulator() as emulator:
        remote, remote_gaps = restarts(
            thinking_model="m", thinking_provider="openai", thinking_url=emulator.url, thinking_api_key="k"
        )
    return [
        _line("restart over HTTP, embedded mind (baseline: bare fork + hello)", bare["embedded"], embedded),
        _line("restart over HTTP, OpenAI mind (baseline: bare fork + hello)", bare["openai"], remote),
        Line(
            "restart over HTTP, OpenAI mind (baseline: python with a worker's imports + hello)",
            spread(naive),
            spread(remote),
            median(remote) / median(naive),
            figures={"naive_p50": median(naive), "p50": median(remote)},
        ),
        Line(
            "of which nobody runs: old process reaped to new one ready (embedded; OpenAI)",
            "",
            f"{spread(gaps)}; {spread(remote_gaps)}",
            figures={"embedded_p50": median(gaps), "openai_p50": median(remote_gaps)},
        ),
    ]


def naive_starts() -> list[float]:
    """Return the seconds from starting Python to the hello of a process that imported what a worker imports."""
    taken = []
    with greetings() as listening:
        for _ in range(NAIVE_ROUNDS):
            begun = time.perf_counter()
            with program("tests.bench.baselines.naive", listening.endpoint):
                listening.wait()
                taken.append(time.perf_counter() - begun)
    return taken


def forks(kind: str) -> list[float]:
    """Return the seconds from asking a warm process for a fork to the fork's hello."""
    taken = []
    with greetings() as listening, program("tests.bench.baselines.warm_fork", listening.endpoint, kind) as warm:
        assert warm.stdin
        assert warm.stdout
        assert warm.stdout.readline() == b"warm\n"
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            warm.stdin.write(b"f")
            warm.stdin.flush()
            routing_id, _ = listening.wait()
            taken.append(time.perf_counter() - begun)
            listening.dismiss(routing_id)
    return taken


def restarts(**organs: str) -> tuple[list[float], list[float]]:
    """Return, for each ``POST .../restart``, its seconds, and those without a process by the supervisor's signals."""
    taken, gaps = [], []
    with running_daemon() as daemon:
        (persona_id,) = create(daemon, 1, **organs)
        reboot(daemon)
        request = post(f"/api/persona/{persona_id}/restart", daemon.port)
        with Connection(daemon.port) as connection, WebSocket(daemon.port, f"/ws/{persona_id}") as signals:
            for _ in range(ROUNDS):
                begun = time.perf_counter()
                connection.request(request)
                taken.append(time.perf_counter() - begun)
                asleep = _signal(signals, b'"title":"Asleep"')
                awake = _signal(signals, b'"title":"Awake"')
                gaps.append((awake.time - asleep.time) / 1e9)
    return taken, gaps


def _signal(signals: WebSocket, title: bytes) -> Signal:
    return msgspec.json.decode(signals.wait_for(title), type=Signal)


def _line(what: str, bare: list[float], taken: list[float]) -> Line:
    ratio = median(taken) / median(bare)
    return Line(
        what,
        spread(bare),
        spread(taken),
        ratio,
        "p50 <= 60 ms and <= 2.5 times",
        median(taken) <= GOAL_SECONDS and ratio <= GOAL_RATIO,
        {"bare_p50": median(bare), "p50": median(taken), "p95": percentile(taken, 95)},
    )
