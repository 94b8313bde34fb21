"""A daemon with a token, accounts, models and providers on loopback, and its clients' requests to /v1."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from tests.daemon_process import DaemonProcess
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.twilio import TwilioEmulator
from tests.providers import Telegram

TOKEN: Final = "personad_abcdefghijklmnopqrstuvwxyz0123456789"

_numbers = itertools.count(1)

SETTINGS: Final = {
    "PERSONAD_MIND_RETRIES": "0",
    "PERSONAD_MIND_BURST_WINDOW": "0",
    "PERSONAD_SUPERVISOR_BACKOFF_MIN": "0.02",
    "PERSONAD_HOOKS_PORT": "0",
    "PERSONAD_HOOKS_PUBLIC_URL": "https://hooks.example.org/base/",
    "PERSONAD_V1_ORGANIZATION_ID": "house",
}
PHONES: Final = tuple(f"+1500555{number:04}" for number in range(100))
SHARED: Final = "+15005559999"
"""A number that two accounts have."""


def with_token(process: DaemonProcess) -> DaemonProcess:
    """Put a token where ``personad token`` puts it; the client sends it from now on."""
    process.state_dir.mkdir(mode=0o700, exist_ok=True)
    file = process.state_dir / "token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    process.token = TOKEN
    return process


def secret_file(folder: Path, text: str) -> Path:
    """A new file that only its owner can read."""
    file = folder / f"secret{next(_numbers)}"
    file.write_text(text)
    file.chmod(0o600)
    return file


class Reception:
    """The daemon and its providers; ``settings`` are additional TOML tables. Any in this class: JSON of the API."""

    def __init__(
        self, state_dir: Path, telegram: Telegram, twilio: TwilioEmulator, mind: OpenAIEmulator, settings: str = ""
    ) -> None:
        self.telegram = telegram
        self._phones = iter(PHONES)
        self.mind = mind
        urls = {telegram.setting: telegram.url, "PERSONAD_PROVIDERS_TWILIO_URL": twilio.url}
        self.daemon = with_token(DaemonProcess(state_dir, {**SETTINGS, **urls}))
        secret = secret_file(state_dir.parent, twilio.token)
        account = f'type = "twilio"\naccount_sid = "{twilio.sid}"\nauth_token_file = "{secret}"\n'
        file = state_dir.parent / ".config/personad/personad.toml"
        file.parent.mkdir(parents=True)
        phones = [*PHONES, SHARED]
        file.write_text(
            f'[accounts.shop]\n{account}phones = {phones}\n[accounts.home]\n{account}phones = ["{SHARED}"]\n'
            f'[models.fast]\nname = "m"\nprovider = "openai"\n{settings}'
        )

    @property
    def http(self) -> httpx.Client:
        """A client that sends the token."""
        return self.daemon.http

    def persona(self, name: str = "Eve") -> str:
        """Make a persona whose mind is on loopback."""
        return self.daemon.create(
            name, thinking_model="m", thinking_provider="openai", thinking_api_key="k", thinking_url=self.mind.url
        )

    def bot(self) -> str:
        """A new bot's token."""
        return self.telegram.add_bot(f"v1bot{next(_numbers)}")

    def phone(self) -> str:
        """A number that has no channel yet."""
        return next(self._phones)

    def post(self, body: Mapping[str, object], **headers: str) -> httpx.Response:
        """Send a request to create a channel."""
        return self.http.post("/v1/channels", json=body, headers=headers)

    def create(self, **body: object) -> dict[str, Any]:
        """Make a channel; it is for SMS on a new number unless ``body`` says otherwise."""
        if "botToken" not in body:
            body = {"channelType": "sms", "phoneNumber": self.phone(), **body}
        answer = self.post({"name": "Shop", "channelType": "telegram", **body})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """Read something under /v1/channels."""
        answer = self.http.get(f"/v1/channels{path}", params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ids(self, **query: str | int) -> list[str]:
        """The ids of a page of channels."""
        return [one["id"] for one in self.get("", **query)["items"]]
