"""A daemon whose providers are on loopback, and personas whose mind is an echo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon.channels.stage import Stage
from tests.daemon_process import DaemonProcess
from tests.emulators.scripted import ScriptedMind
from tests.providers import Discord, Provider, Telegram

SETTINGS = {
    "PERSONAD_SUPERVISOR_BACKOFF_MIN": "0.02",
    "PERSONAD_SUPERVISOR_BACKOFF_MAX": "0.2",
    "PERSONAD_SUPERVISOR_FAILURES": "500",
    "PERSONAD_MIND_RETRIES": "0",
    "PERSONAD_MIND_BURST_WINDOW": "0",
    "PERSONAD_LOGS_LEVEL": "debug",
}

Open = Callable[[Provider], Stage]


@pytest.fixture(scope="session")
def brain() -> Iterator[ScriptedMind]:
    """A mind that echoes, for all tests here."""
    mind = ScriptedMind()
    with mind:
        yield mind


@pytest.fixture(scope="session")
def telegram() -> Iterator[Telegram]:
    """Telegram on loopback."""
    with Telegram() as provider:
        yield provider


@pytest.fixture(scope="session")
def discord() -> Iterator[Discord]:
    """Discord on loopback."""
    with Discord() as provider:
        yield provider


@pytest.fixture(params=["telegram", "discord"])
def provider(request: pytest.FixtureRequest) -> Provider:
    """Each provider in turn."""
    found: Provider = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def shared_daemon(
    tmp_path_factory: pytest.TempPathFactory, telegram: Telegram, discord: Discord
) -> Iterator[DaemonProcess]:
    """The daemon that most tests share."""
    urls = {one.setting: one.url for one in (telegram, discord)}
    daemon = DaemonProcess(tmp_path_factory.mktemp("channels") / "state", {**SETTINGS, **urls})
    try:
        yield daemon.start_warm("telegram", "discord")
    finally:
        daemon.close()


@pytest.fixture
def stage(shared_daemon: DaemonProcess, brain: ScriptedMind, provider: Provider) -> Iterator[Stage]:
    """A persona for this test only, and the provider of her first channel."""
    with Stage(shared_daemon, brain, provider) as stage:
        yield stage


@pytest.fixture
def lonely(tmp_path: Path, brain: ScriptedMind, telegram: Telegram, discord: Discord) -> Iterator[Open]:
    """Make a stage on a daemon for this test only, which may be killed."""
    daemon = DaemonProcess(tmp_path / "state", {**SETTINGS, **{one.setting: one.url for one in (telegram, discord)}})

    def open_(provider: Provider) -> Stage:
        return Stage(daemon.start_warm(provider.kind), brain, provider)

    try:
        yield open_
    finally:
        daemon.close()
