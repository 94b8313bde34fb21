"""What tests of all areas share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon_process import DaemonProcess
from tests.emulators.openai import OpenAIEmulator


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon that answers, with a state of its own."""
    process = DaemonProcess(tmp_path / "state")
    try:
        yield process.start()
    finally:
        process.close()


@pytest.fixture(scope="session")
def mind() -> Iterator[OpenAIEmulator]:
    """A mind on loopback that echoes the last words, for personas that only have to answer."""
    emulator = OpenAIEmulator()
    with emulator:
        yield emulator
