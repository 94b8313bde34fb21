"""Idle: the cost of a hundred personas while nobody writes to them."""

from __future__ import annotations

import time
from typing import Final

from tests.bench import processes
from tests.bench.figures import megabytes
from tests.bench.stand import create, running_daemon, server
from tests.bench.table import Line

PERSONAS: Final = 100
SECONDS: Final = 20.0
SETTLING: Final = 3.0
GOAL: Final = 0.02


def measure() -> list[Line]:
    """Watch the whole tree of processes for twenty seconds, beside a bare server."""
    with server("tests.bench.baselines.front") as (bare, _), running_daemon() as daemon:
        create(daemon, PERSONAS)
        time.sleep(SETTLING)
        bare_before, before = processes.processor_seconds(bare.pid), processes.processor_seconds(daemon.pid)
        time.sleep(SECONDS)
        ours = (processes.processor_seconds(daemon.pid) - before) / SECONDS
        idle = (processes.processor_seconds(bare.pid) - bare_before) / SECONDS
        together = processes.pss(daemon.pid)
    return [
        Line(
            f"processor time of {PERSONAS} idle personas, all processes (baseline: bare uvicorn + Starlette)",
            f"{idle:.2%} of a core",
            f"{ours:.2%} of a core",
            None,
            "< 2 %",
            ours < GOAL,
            {"bare": idle, "share": ours},
        ),
        Line(f"PSS of {PERSONAS} personas, daemon and zygote", "", megabytes(together), figures={"pss": together}),
    ]
