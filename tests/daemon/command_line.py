"""``personad`` as a user runs it: a process of its own, with the environment of a daemon under test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.daemon_process import DaemonProcess

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 60.0


def command(*arguments: str) -> list[str]:
    """Return the command line of ``personad`` with these arguments."""
    return [sys.executable, "-m", "daemon", *arguments]


def personad(
    daemon: DaemonProcess | Mapping[str, str], *arguments: str, stdin: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run ``personad`` and return what it printed and its exit code."""
    settings = daemon.environ() if isinstance(daemon, DaemonProcess) else dict(daemon)
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env={**settings, **environ},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
