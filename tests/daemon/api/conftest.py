"""One daemon for all tests of the routes; each test makes its own personas."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.daemon_process import DaemonProcess
from tests.emulators.openai import OpenAIEmulator


@pytest.fixture(scope="package")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """The shared daemon."""
    process = DaemonProcess(tmp_path_factory.mktemp("front") / "state")
    try:
        yield process.start_warm()
    finally:
        process.close()


@pytest.fixture
def make(front: DaemonProcess, mind: OpenAIEmulator) -> Iterator[Callable[..., str]]:
    """Make personas whose mind is the echo on loopback; they are deleted after the test."""
    made: list[str] = []

    def make(name: str = "Eve", **organs: str) -> str:
        echo = {"thinking_model": "echo", "thinking_provider": "openai", "thinking_api_key": "k"}
        made.append(front.create(name, **{"thinking_url": mind.url, **echo, **organs}))
        return made[-1]

    yield make
    for persona_id in made:
        front.http.post(f"/api/persona/{persona_id}/delete")


@pytest.fixture(scope="package")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """Another daemon with its own state."""
    process = DaemonProcess(tmp_path_factory.mktemp("other") / "state")
    try:
        yield process.start_warm()
    finally:
        process.close()


@pytest.fixture
def other(machine: DaemonProcess) -> Iterator[DaemonProcess]:
    """Another machine without personas; those that are restored there are deleted after the test."""
    yield machine
    for persona in machine.http.get("/api/personas").json()["personas"]:
        machine.http.post(f"/api/persona/{persona['id']}/delete")
