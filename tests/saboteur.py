"""Faults that no signal can make: code that a process of the daemon runs when it gets SIGUSR1.

It comes in as an administrator's would, by a ``sitecustomize`` on PYTHONPATH, and does nothing until the signal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.measured import first, python_path

_HOOK: Final = """\
import os, signal

def act(*_):
{body}

signal.signal(signal.SIGUSR1, act)
"""

BUSY_LOOP: Final = "    while True: pass"
"""The process computes for ever; its event loop never turns again."""

STRAY: Final = """\
    if os.fork() == 0:
        os.setsid()
        os.execvp("sleep", ["sleep", "{seconds}"])"""
"""It makes a child in a session of its own, which no signal to its group reaches."""


NO_WALLS: Final = """\
import worker.walls.filter, worker.walls.landlock

worker.walls.filter.available = lambda _: False
worker.walls.landlock.version = lambda: 0
"""
"""A kernel with neither Landlock nor seccomp: what a process of it can do that no other can."""


def on_signal(folder: Path, body: str, before: str = "") -> str:
    """Write the hook, with code that runs ``before`` it, and return the PYTHONPATH that brings it in."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(first() + before + _HOOK.format(body=body))
    return python_path(folder)


def at_start(folder: Path, code: str) -> str:
    """Have ``code`` run when a Python process starts, and return the PYTHONPATH that brings it in."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(first() + code)
    return python_path(folder)
