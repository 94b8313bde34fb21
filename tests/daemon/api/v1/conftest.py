"""One daemon with a token for all tests of ``/v1`` that can share it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.api.v1.reception import PHONES, SHARED, Reception, with_token
from tests.daemon_process import DaemonProcess
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.twilio import TwilioEmulator
from tests.providers import Telegram


@pytest.fixture(scope="package")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """The shared daemon, without personas yet."""
    process = with_token(DaemonProcess(tmp_path_factory.mktemp("v1") / "state"))
    try:
        yield process.start().ready()
    finally:
        process.close()


@pytest.fixture(scope="session")
def telegram() -> Iterator[Telegram]:
    """Telegram on loopback."""
    with Telegram() as provider:
        yield provider


@pytest.fixture(scope="session")
def twilio() -> Iterator[TwilioEmulator]:
    """Twilio on loopback, with the numbers that the settings name."""
    with TwilioEmulator(*PHONES, SHARED) as emulator:
        yield emulator


@pytest.fixture(scope="package")
def desk(
    tmp_path_factory: pytest.TempPathFactory, telegram: Telegram, twilio: TwilioEmulator, mind: OpenAIEmulator
) -> Iterator[Reception]:
    """The reception that most tests share, with one persona who has the dataset ``menu``."""
    shared = Reception(tmp_path_factory.mktemp("desk") / "state", telegram, twilio, mind)
    try:
        shared.daemon.start_warm("telegram")
        persona = shared.persona()
        (shared.daemon.state_dir / "personas" / persona / "datasets" / "menu").mkdir(parents=True)
        yield shared
    finally:
        shared.daemon.close()


@pytest.fixture
def lonely(tmp_path: Path, telegram: Telegram, twilio: TwilioEmulator, mind: OpenAIEmulator) -> Iterator[Reception]:
    """A reception for this test only, which may be killed."""
    own = Reception(tmp_path / "state", telegram, twilio, mind)
    try:
        own.daemon.start_warm()
        yield own
    finally:
        own.daemon.close()
