"""The server under test, emulators for its providers where possible, and personas with a mind that answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.contract.bots import Bot, new_bot
from tests.contract.options import secret
from tests.contract.server import Make, Server
from tests.daemon_process import DaemonProcess
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.twilio import TwilioEmulator
from tests.providers import Discord, Provider, Telegram

TOKEN = "contract_abcdefghijklmnopqrstuvwxyz0123456789"
PHONE = "+15005550006"


@pytest.fixture(scope="package")
def base_url(request: pytest.FixtureRequest) -> str | None:
    """The foreign server's URL; None for a daemon of this checkout."""
    url: str | None = request.config.getoption("base_url")
    return url


@pytest.fixture(scope="package")
def providers(request: pytest.FixtureRequest, base_url: str | None) -> Iterator[dict[str, Provider]]:
    """The emulators that the server uses: all for this checkout's daemon, the named ones for a foreign server."""
    makers: dict[str, Callable[[int], Provider]] = {"telegram": Telegram, "discord": Discord}
    with ExitStack() as stack:
        known = {}
        for kind, make in makers.items():
            port: int | None = request.config.getoption(f"{kind}_port")
            if port or not base_url:
                known[kind] = stack.enter_context(make(port or 0))
        yield known


@pytest.fixture(scope="package")
def server(
    request: pytest.FixtureRequest,
    base_url: str | None,
    providers: Mapping[str, Provider],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """The server under test."""
    if base_url:
        with Server(base_url, secret(request.config, "token")) as foreign:
            yield foreign
        return
    with TwilioEmulator(PHONE) as twilio:
        daemon = _daemon(tmp_path_factory.mktemp("contract"), providers, twilio)
        try:
            daemon.start_warm(*providers)
            with Server(daemon.url, TOKEN) as own:
                yield own
        finally:
            daemon.close()


def _daemon(home: Path, providers: Mapping[str, Provider], twilio: TwilioEmulator) -> DaemonProcess:
    """A daemon of this checkout with a token and an account for SMS, whose providers are on loopback."""
    settings = {provider.setting: provider.url for provider in providers.values()}
    daemon = DaemonProcess(
        home / "state", {**settings, "PERSONAD_PROVIDERS_TWILIO_URL": twilio.url, "PERSONAD_MIND_RETRIES": "0"}
    )
    daemon.token = TOKEN
    daemon.state_dir.mkdir(mode=0o700)
    for file, text in ((daemon.state_dir / "token", TOKEN), (home / "twilio", twilio.token)):
        file.write_text(text)
        file.chmod(0o600)
    file = home / ".config/personad/personad.toml"
    file.parent.mkdir(parents=True)
    file.write_text(
        f'[accounts.shop]\ntype = "twilio"\naccount_sid = "{twilio.sid}"\nauth_token_file = "{home / "twilio"}"\n'
        f'phones = ["{PHONE}"]\n'
    )
    return daemon


@pytest.fixture
def telegram(providers: Mapping[str, Provider]) -> Telegram:
    """Telegram's emulator, if the server under test can use it."""
    found = _provider(providers, "telegram")
    assert isinstance(found, Telegram)
    return found


@pytest.fixture(params=["telegram", "discord"])
def provider(request: pytest.FixtureRequest, providers: Mapping[str, Provider]) -> Provider:
    """Both kinds of bots in turn."""
    return _provider(providers, request.param)


def _provider(providers: Mapping[str, Provider], kind: str) -> Provider:
    if kind not in providers:
        base = "http://127.0.0.1:PORT" + ("/api/v10" if kind == "discord" else "")
        pytest.skip(f"a bot is needed: give the server {base} as its {kind.title()}, and --{kind}-port PORT here")
    return providers[kind]


@pytest.fixture(scope="package")
def echo() -> Iterator[OpenAIEmulator]:
    """A mind on loopback that repeats the last message."""
    emulator = OpenAIEmulator()
    with emulator:
        yield emulator


@pytest.fixture
def mind_fields(request: pytest.FixtureRequest, echo: OpenAIEmulator) -> dict[str, str]:
    """The fields of a persona's mind when she is created."""
    return {
        "thinking_provider": "openai",
        "thinking_url": request.config.getoption("mind_url") or echo.url,
        "thinking_model": request.config.getoption("mind_model"),
        "thinking_api_key": secret(request.config, "mind_key") or "sk-in-the-clear",
    }


@pytest.fixture
def make(server: Server, mind_fields: Mapping[str, str]) -> Iterator[Make]:
    """Make running personas; they are deleted after the test."""
    made: list[str] = []

    def make(**fields: str) -> str:
        persona = server.create(**{"name": "Eve", **mind_fields, **fields})
        made.append(persona["id"])
        return made[-1]

    yield make
    for persona_id in made:
        server.post(persona_id, "delete")


@pytest.fixture
def eve(make: Make) -> str:
    """A running persona."""
    return make()


@pytest.fixture
def bot(provider: Provider) -> Bot:
    """A bot that has no channel yet."""
    return new_bot(provider)


@pytest.fixture
def phone(request: pytest.FixtureRequest, base_url: str | None) -> str:
    """A number that an account of the server has."""
    number: str | None = request.config.getoption("phone")
    if base_url and not number:
        pytest.skip("a number is needed: set up an account for SMS on the server, and give --phone NUMBER here")
    return number or PHONE
