"""One daemon for all feeds that do not kill it, and a mind that learns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon.feeding.feeding import LearningMind, create
from tests.daemon_process import DaemonProcess

SETTINGS = {"PERSONAD_MIND_RETRIES": "0", "PERSONAD_SUPERVISOR_HANG_AFTER": "2", "PERSONAD_LIMITS_FEED": "200000"}


@pytest.fixture(scope="package")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """The shared daemon."""
    process = DaemonProcess(tmp_path_factory.mktemp("feeds") / "state", SETTINGS)
    try:
        yield process.start_warm()
    finally:
        process.close()


@pytest.fixture
def mind() -> Iterator[LearningMind]:
    """A mind that learns."""
    mind = LearningMind()
    with mind:
        yield mind


@pytest.fixture
def eve(kitchen: DaemonProcess, mind: LearningMind) -> Iterator[str]:
    """The id of the persona that is fed."""
    persona_id = create(kitchen, mind)
    yield persona_id
    kitchen.http.post(f"/api/persona/{persona_id}/delete")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Callable[[], DaemonProcess]]:
    """Start a daemon that a test may stop and kill; another call starts it again."""
    process = DaemonProcess(tmp_path / "state", SETTINGS)
    try:
        yield process.start_warm
    finally:
        process.close()
