"""One daemon for all tests of channels, with its providers on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.daemon.api.channels.routes import Make
from tests.daemon_process import DaemonProcess
from tests.emulators.discord import DiscordEmulator
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.telegram import TelegramEmulator


@pytest.fixture(scope="package")
def telegram() -> Iterator[TelegramEmulator]:
    """Telegram on loopback."""
    with TelegramEmulator() as emulator:
        yield emulator


@pytest.fixture(scope="package")
def discord() -> Iterator[DiscordEmulator]:
    """Discord on loopback."""
    with DiscordEmulator() as emulator:
        yield emulator


@pytest.fixture(scope="package")
def shared_daemon(
    tmp_path_factory: pytest.TempPathFactory, telegram: TelegramEmulator, discord: DiscordEmulator
) -> Iterator[DaemonProcess]:
    """A daemon whose providers are on loopback."""
    urls = {"PERSONAD_PROVIDERS_TELEGRAM_URL": telegram.url, "PERSONAD_PROVIDERS_DISCORD_URL": discord.url}
    with closing(DaemonProcess(tmp_path_factory.mktemp("channels") / "state", urls)) as process:
        yield process.start_warm("telegram", "discord", "slack")


@pytest.fixture
def organs(mind: OpenAIEmulator) -> dict[str, str]:
    """The fields of a mind that echoes."""
    return {
        "thinking_model": "echo",
        "thinking_provider": "openai",
        "thinking_api_key": "k",
        "thinking_url": mind.url,
    }


@pytest.fixture
def make(shared_daemon: DaemonProcess, organs: dict[str, str]) -> Iterator[Make]:
    """Make personas that are deleted after the test."""
    made: list[str] = []

    def make(name: str = "Eve") -> str:
        made.append(shared_daemon.create(name, **organs))
        return made[-1]

    yield make
    for persona_id in made:
        shared_daemon.http.post(f"/api/persona/{persona_id}/delete")


@pytest.fixture(params=["telegram", "discord"])
def provider(request: pytest.FixtureRequest) -> tuple[str, TelegramEmulator | DiscordEmulator]:
    """Each kind in turn, with its emulator."""
    return request.param, request.getfixturevalue(request.param)
