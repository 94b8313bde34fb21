"""``personad`` as a user runs it, with the environment of a daemon under test, and a persona to use."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.daemon_process import DaemonProcess
from tests.emulators.server import Emulator
from tests.patience import PATIENCE

ROOT: Final = Path(__file__).parents[3]


def command(*arguments: str) -> list[str]:
    """Return the command line of ``personad`` with these arguments."""
    return [sys.executable, "-m", "daemon", *arguments]


def personad(
    daemon: DaemonProcess | Mapping[str, str], *arguments: str, stdin: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run ``personad`` and return its output and exit code."""
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


@contextmanager
def persona(daemon: DaemonProcess, name: str, mind: Emulator) -> Iterator[str]:
    """A persona whose mind is the echo; yields her id and deletes her at the end."""
    persona_id = daemon.create(
        name, thinking_model="echo", thinking_provider="openai", thinking_api_key="k", thinking_url=mind.url
    )
    yield persona_id
    daemon.http.post(f"/api/persona/{persona_id}/delete")
