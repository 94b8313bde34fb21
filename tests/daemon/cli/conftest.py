"""One daemon for the tests of commands that leave no trace, and the settings of one that does not run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.daemon.cli.command_line import persona
from tests.daemon_process import DaemonProcess, free_port
from tests.emulators.openai import OpenAIEmulator
from tests.measured import python_path


@pytest.fixture(scope="package")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """One daemon for all tests that leave no trace."""
    with closing(DaemonProcess(tmp_path_factory.mktemp("cli") / "state")) as process:
        yield process.start_warm()


@pytest.fixture
def eve(shared_daemon: DaemonProcess, mind: OpenAIEmulator) -> Iterator[str]:
    """A persona named Eve whose mind is the echo; deleted after the test."""
    with persona(shared_daemon, "Eve", mind) as persona_id:
        yield persona_id


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """The settings of a daemon that does not run."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": python_path(),
        "HOME": str(tmp_path),
        "PERSONAD_STATE_DIR": str(tmp_path / "state"),
        "PERSONAD_RUNTIME_DIR": str(tmp_path / "run"),
        "PERSONAD_HTTP_PORT": str(free_port()),
    }
