"""Daemons that tests may stop and kill, and minds that follow the message."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.daemon_process import DaemonProcess
from tests.emulators.scripted import ScriptedMind

Launch = Callable[..., DaemonProcess]

FAST = {
    "PERSONAD_SUPERVISOR_BACKOFF_MIN": "0.02",
    "PERSONAD_SUPERVISOR_BACKOFF_MAX": "0.2",
    "PERSONAD_SUPERVISOR_FAILURES": "500",
    "PERSONAD_MIND_RETRIES": "0",
    "PERSONAD_MIND_BURST_WINDOW": "0",
    "PERSONAD_LOGS_LEVEL": "debug",
}
"""Settings with short waits, and with room for any number of deaths."""


@pytest.fixture(scope="module")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """One daemon for the tests of a file that neither end it nor need their own settings."""
    with closing(DaemonProcess(tmp_path_factory.mktemp("survival") / "state", FAST)) as process:
        yield process.start_warm()


@pytest.fixture
def daemon(shared_daemon: DaemonProcess) -> Iterator[DaemonProcess]:
    """The shared daemon; its personas are deleted after the test."""
    yield shared_daemon
    for persona in shared_daemon.http.get("/api/personas").json()["personas"]:
        shared_daemon.http.post(f"/api/persona/{persona['id']}/delete")


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Start daemons; a keyword is a setting, such as ``supervisor_failures="3"``."""
    made: list[DaemonProcess] = []

    def launch(
        state: Path | None = None, *, start: bool = True, log: Path | None = None, **settings: str
    ) -> DaemonProcess:
        given = {f"PERSONAD_{key.upper()}" if key.islower() else key: value for key, value in settings.items()}
        daemon = DaemonProcess(state or tmp_path / f"state{len(made)}", {**FAST, **given})
        daemon.log = log or daemon.log
        made.append(daemon)
        if not start:
            return daemon
        return daemon.start().ready() if state else daemon.start_warm()

    yield launch
    for daemon in made:
        daemon.close()


@pytest.fixture
def brain() -> Iterator[ScriptedMind]:
    """A mind for this test only."""
    mind = ScriptedMind()
    with mind:
        yield mind


def create(daemon: DaemonProcess, brain: ScriptedMind, name: str = "Eve") -> str:
    """Create a persona whose mind is ``brain``."""
    persona_id = daemon.create(
        name, thinking_model="m", thinking_provider="openai", thinking_api_key="k", thinking_url=brain.url
    )
    brain.heard.clear()
    return persona_id
