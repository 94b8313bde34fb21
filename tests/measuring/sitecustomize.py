"""Measures the coverage of a process from its start to its end, and of all that it starts and forks.

Python runs this where its folder is on PYTHONPATH, which ``make coverage`` puts there. Coverage's own ways
(https://coverage.readthedocs.io/en/latest/subprocess.html) pass a variable on: the daemon hands its children a short
environment without it. PYTHONPATH is handed on. What is killed leaves no figures.
"""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path
from typing import NoReturn

import coverage

ROOT = Path(__file__).parents[2]

measured = coverage.Coverage(
    data_file=str(ROOT / ".coverage"), data_suffix=True, config_file=str(ROOT / "pyproject.toml")
)
leave_at_once = os._exit
forks = 0


def forked() -> None:
    """Count how far this process is from one that was started. Its figures go on, into a file of its own."""
    global forks
    forks += 1
    if landlock := sys.modules.get("worker.walls.landlock"):
        # A worker's walls leave no place for its figures.
        enclose = landlock.enclose
        landlock.enclose = lambda abi, read, write, *rest: enclose(abi, read, [*write, str(ROOT)], *rest)  # type: ignore[attr-defined]  # a ModuleType has no names


def leave(status: int) -> NoReturn:
    """Keep the figures of a process that leaves by ``os._exit``, as workers do.

    The process between a zygote and its worker keeps none: a birth would wait for it, and the worker has the same.
    """
    try:
        if forks != 1:
            measured.save()
    finally:
        leave_at_once(status)


measured.start()
atexit.register(measured.save)
os.register_at_fork(after_in_child=forked)
os._exit = leave
