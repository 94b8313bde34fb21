"""Only the clock reads the machine's clocks, so that a test can turn the time everywhere else."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
READS: Final = {
    f"time.{name}"
    for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep")
}

REASONS: Final = {
    "daemon/runtime/clock.py": "It is the clock.",
    "daemon/logging/log.py": "The room of the log is below the clock; a line carries the machine's time.",
    "daemon/logging/writer.py": "As above, on a thread that waits for a descriptor.",
    "daemon/http/tokens.py": "It compares a file's state with the one a second ago; its tests change the file.",
    "daemon/api/v1/jwks.py": "It bounds a blocking fetch on a thread of its own, which no event loop's clock reaches.",
    "daemon/ledger/writer.py": "The room imports no other, and its thread waits by the queue's timeout.",
    "daemon/ledger/known.py": "As above, before there is a clock: a file that is set aside gets the time as its name.",
    "daemon/ledger/repair.py": "As above.",
    "daemon/cli/": "The command line is another program, with nothing that a test has to turn.",
}


def readings(source: str) -> list[str]:
    """The calls in a module that read the machine's clocks, however ``time`` was imported."""
    tree, names = ast.parse(source), dict[str, str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names if alias.name == "time"}
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            names |= {alias.asname or alias.name: f"time.{alias.name}" for alias in node.names}
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=attr) if names.get(module) == "time":
                found.append(f"time.{attr}")
            case ast.Name(id=name) if name in names:
                found.append(names[name])
    return [one for one in found if one in READS]


def test_only_the_clock_reads_the_machines_clocks() -> None:
    """Every other module of the daemon takes a Clock, or its reason stands here; no reason is out of date."""
    reading = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "daemon").rglob("*.py")
        if readings(path.read_text(encoding="utf-8"))
    }
    assert {path for path in reading if not any(path.startswith(allowed) for allowed in REASONS)} == set()
    assert {allowed for allowed in REASONS if not any(path.startswith(allowed) for path in reading)} == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time\ntime.time_ns()", ["time.time_ns"]),
        ("import time as t\nf(t.monotonic)", ["time.monotonic"]),
        ("from time import time as now\nnow()", ["time.time"]),
        ("import time\ntime.strftime('%Y')", []),
        ("def f(clock):\n    return clock.time_ns()", []),
    ],
)
def test_a_reading_is_found(source: str, found: list[str]) -> None:
    """The check sees through other names."""
    assert readings(source) == found
