"""Read throughput: ``POST .../read`` on sixteen connections, each answered after its commit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from tests.bench.client import WebSocket, post
from tests.bench.figures import median, milliseconds
from tests.bench.load import Outcome, load
from tests.bench.stand import QUESTION, create, running_daemon, server, wait_until_answered
from tests.bench.table import Line
from tests.daemon_process import DaemonProcess
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.server import Step

ROUNDS: Final = 5
SECONDS: Final = 2.0
GOAL_SHARE: Final = 0.70
PEER: Final = 72
"""Requests per second of the documented system, measured once on such a machine; not durable."""
GOAL_PEERS: Final = 50

LIMITS: Final = {"PERSONAD_LIMITS_INBOX": "1000000"}
BARE_PATH: Final = "/api/persona/6c17c83c-3158-450d-8e43-0e7efea717c1/read"


def measure() -> list[Line]:
    """Load all of them in turn, so that a busy moment of the machine affects all alike; the medians count."""
    outcomes: dict[str, list[Outcome]] = {"bare": [], "commit": [], "answering": [], "hung": []}
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="personad-bench-"))
        bare = stack.enter_context(server("tests.bench.baselines.front"))[1]
        commit = stack.enter_context(server("tests.bench.baselines.front", f"{folder}/ledger.db"))[1]
        answering, answering_id = stack.enter_context(_answering())
        hung, hung_id = stack.enter_context(_hung())
        for _ in range(ROUNDS):
            outcomes["bare"].append(_load(bare, BARE_PATH))
            outcomes["commit"].append(_load(commit, BARE_PATH))
            outcomes["answering"].append(_load_read(answering, answering_id))
            wait_until_answered(answering)
            outcomes["hung"].append(_load_read(hung, hung_id))
    rates = {name: median([outcome.rate for outcome in some]) for name, some in outcomes.items()}
    lines = [
        _line("read, durable, 16 connections, while she answers", outcomes["commit"], outcomes["answering"]),
        _line("read, durable, 16 connections, her mind hangs", outcomes["commit"], outcomes["hung"]),
    ]
    for line in lines:
        line.goal = f">= 70 % and >= {PEER * GOAL_PEERS:,}/s"
        line.met = (line.ratio or 0) >= GOAL_SHARE and line.figures["rate"] >= PEER * GOAL_PEERS
    share = rates["answering"] / rates["bare"]
    bare_line = _line("the same against the route without a commit", outcomes["bare"], outcomes["answering"])
    return [*lines, Line(bare_line.what, bare_line.baseline, f"{rates['answering']:,.0f}/s", share)]


@contextmanager
def _answering() -> Iterator[tuple[DaemonProcess, str]]:
    """Create a persona who answers by code."""
    with running_daemon(LIMITS) as daemon:
        yield daemon, create(daemon, 1)[0]


@contextmanager
def _hung() -> Iterator[tuple[DaemonProcess, str]]:
    """Create a persona whose mind was reachable then, and never answers."""
    with OpenAIEmulator() as emulator, running_daemon(LIMITS) as daemon:
        organs = {"thinking_provider": "openai", "thinking_url": emulator.url, "thinking_api_key": "k"}
        (persona_id,) = create(daemon, 1, thinking_model="m", **organs)
        emulator.default = Step(failure="hang")
        yield daemon, persona_id


def _load_read(daemon: DaemonProcess, persona_id: str) -> Outcome:
    """Load her ``read`` route, with a browser connected that takes all frames."""
    with WebSocket(daemon.port, f"/ws/{persona_id}") as socket:
        socket.drain()
        return _load(daemon.port, f"/api/persona/{persona_id}/read")


def _load(port: int, path: str) -> Outcome:
    outcome = load(port, post(path, port, {"message": QUESTION}), SECONDS)
    assert not outcome.refused, f"{outcome.refused} of {outcome.answers} requests were not answered with 200"
    return outcome


def _line(what: str, baseline: list[Outcome], personad: list[Outcome]) -> Line:
    bare, ours = (median([outcome.rate for outcome in some]) for some in (baseline, personad))
    p50, p99 = median([outcome.p50 for outcome in personad]), median([outcome.p99 for outcome in personad])
    figures = {"baseline_rate": bare, "rate": ours, "p50": p50, "p99": p99}
    return Line(what, _shown(baseline), _shown(personad), ours / bare, figures=figures)


def _shown(outcomes: list[Outcome]) -> str:
    rate, p50, p99 = (median([getattr(outcome, name) for outcome in outcomes]) for name in ("rate", "p50", "p99"))
    return f"{rate:,.0f}/s, p50 {milliseconds(p50)}, p99 {milliseconds(p99)}"
