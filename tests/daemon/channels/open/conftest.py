"""Daemons whose Telegram is on loopback, and personas with channels that are open to anybody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.channels.open.counter import Counter
from tests.daemon_process import DaemonProcess
from tests.emulators.scripted import ScriptedMind
from tests.providers import Telegram

TOKEN = "personad_abcdefghijklmnopqrstuvwxyz0123456789"
SETTINGS = {
    "PERSONAD_SUPERVISOR_BACKOFF_MIN": "0.02",
    "PERSONAD_SUPERVISOR_BACKOFF_MAX": "0.2",
    "PERSONAD_SUPERVISOR_FAILURES": "500",
    "PERSONAD_MIND_RETRIES": "0",
    "PERSONAD_MIND_BURST_WINDOW": "0",
    "PERSONAD_LOGS_LEVEL": "debug",
}
MODEL = '[models.clerk]\nname = "clerk-model"\nprovider = "openai"\nurl = "{url}"\n'


@pytest.fixture(scope="package")
def telegram() -> Iterator[Telegram]:
    """Telegram on loopback."""
    with Telegram() as provider:
        yield provider


@pytest.fixture(scope="package")
def brain() -> Iterator[ScriptedMind]:
    """The mind of all personas here, an echo."""
    mind = ScriptedMind()
    with mind:
        yield mind


@pytest.fixture(scope="package")
def clerk() -> Iterator[ScriptedMind]:
    """The mind of the model ``clerk``."""
    mind = ScriptedMind()
    with mind:
        yield mind


def launch(folder: Path, telegram: Telegram, **settings: str) -> DaemonProcess:
    """Start a daemon with a token and these settings; a name in capitals is an environment variable."""
    given = {f"PERSONAD_{name.upper()}" if name.islower() else name: value for name, value in settings.items()}
    daemon = DaemonProcess(folder / "state", {**SETTINGS, telegram.setting: telegram.url, **given})
    daemon.state_dir.mkdir(mode=0o700)
    token = daemon.state_dir / "token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    daemon.token = TOKEN
    return daemon.start_warm("telegram")


@pytest.fixture(scope="package")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory, telegram: Telegram) -> Iterator[DaemonProcess]:
    """The daemon that most tests share, without limits for senders."""
    daemon = launch(tmp_path_factory.mktemp("open"), telegram, channels_sender_per_minute="1000")
    try:
        yield daemon
    finally:
        daemon.close()


@pytest.fixture(scope="package")
def strict(
    tmp_path_factory: pytest.TempPathFactory, telegram: Telegram, clerk: ScriptedMind
) -> Iterator[DaemonProcess]:
    """A daemon with a short ``fallback_after``, a limit of three messages a minute, and a model."""
    folder = tmp_path_factory.mktemp("strict")
    (settings := folder / ".config" / "personad").mkdir(parents=True)
    (settings / "personad.toml").write_text(MODEL.format(url=clerk.url))
    daemon = launch(folder, telegram, channels_sender_per_minute="3", channels_fallback_after="0.5")
    try:
        yield daemon
    finally:
        daemon.close()


@pytest.fixture
def counter(shared_daemon: DaemonProcess, brain: ScriptedMind, telegram: Telegram) -> Iterator[Counter]:
    """A persona for this test only, without a channel yet."""
    with Counter(shared_daemon, brain, telegram) as counter:
        yield counter


@pytest.fixture
def strict_counter(strict: DaemonProcess, brain: ScriptedMind, telegram: Telegram) -> Iterator[Counter]:
    """A persona for this test only on the strict daemon."""
    with Counter(strict, brain, telegram) as counter:
        yield counter
