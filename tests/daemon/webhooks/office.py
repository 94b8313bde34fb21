"""A daemon with webhooks of Twilio and Meta, both emulated on loopback, and its operator's requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from tests.daemon_process import DaemonProcess, free_port, wait_for
from tests.emulators.meta import MetaEmulator
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.twilio import TwilioEmulator
from tests.observed import status

TOKEN: Final = "personad_abcdefghijklmnopqrstuvwxyz0123456789"
PUBLIC: Final = "https://hooks.example.org"
SMS_LINE: Final = "+15005550006"
WHATSAPP_LINE: Final = "+15005550007"

SETTINGS: Final = {
    "PERSONAD_SUPERVISOR_BACKOFF_MIN": "0.02",
    "PERSONAD_SUPERVISOR_BACKOFF_MAX": "0.2",
    "PERSONAD_SUPERVISOR_FAILURES": "500",
    "PERSONAD_MIND_RETRIES": "0",
    "PERSONAD_MIND_BURST_WINDOW": "0",
}
ACCOUNTS: Final = """
[accounts.shop]
type = "twilio"
phones = ["{sms}"]
account_sid = "{sid}"
auth_token_file = "{folder}/auth_token"
[accounts.chat]
type = "meta"
phones = ["{whatsapp}"]
phone_number_id = "{number_id}"
access_token_file = "{folder}/access_token"
app_secret_file = "{folder}/app_secret"
verify_token_file = "{folder}/verify_token"
"""


class Office:
    """A persona with channels that providers call. Any in this class: JSON of the API."""

    def __init__(
        self, folder: Path, twilio: TwilioEmulator, meta: MetaEmulator, mind: OpenAIEmulator, **settings: str
    ) -> None:
        self.twilio = twilio
        self.meta = meta
        self.mind = mind
        self.port = free_port()
        given = {
            **SETTINGS,
            "PERSONAD_HOOKS_PORT": str(self.port),
            "PERSONAD_HOOKS_PUBLIC_URL": PUBLIC,
            "PERSONAD_PROVIDERS_TWILIO_URL": twilio.url,
            "PERSONAD_PROVIDERS_WHATSAPP_URL": meta.url,
            **settings,
        }
        self.daemon = DaemonProcess(folder / "state", given)
        self._write(folder)
        self.persona = ""
        self._channels: dict[str, str] = {}

    def start(self) -> Office:
        """Start the daemon, and create the persona the first time."""
        if self.persona:
            self.daemon.start().ready()
        else:
            self.daemon.start_warm("sms", "whatsapp")
            self.persona = self.daemon.create(
                "Eve", thinking_model="m", thinking_provider="openai", thinking_api_key="k", thinking_url=self.mind.url
            )
        return self

    def open(self, kind: str, phone: str, **fields: object) -> str:
        """Create a channel unless it exists, wait until it is connected, and return its id."""
        if channel := self._channels.get(kind):
            return channel
        body = {"name": kind, "channelType": kind, "phoneNumber": phone, "systemPromptId": self.persona, **fields}
        answer = self.daemon.http.post("/v1/channels", json=body)
        assert answer.status_code == 201, answer.text
        channel = self._channels[kind] = str(answer.json()["id"])
        assert answer.json()["webhookUrl"] == f"{PUBLIC}/hooks/{channel}"
        self.connected(channel)
        return channel

    def shown(self, channel: str) -> dict[str, Any]:
        """Return a channel as /v1 shows it."""
        found: dict[str, Any] = self.daemon.http.get(f"/v1/channels/{channel}").json()
        return found

    def connected(self, channel: str) -> None:
        """Wait until the channel's gateway is connected."""

        def is_connected() -> bool:
            states = status(self.daemon, self.persona)["channels"]
            return any(one["channel"] == channel and one["state"] == "connected" for one in states)

        wait_for(is_connected, f"channel {channel} to be connected; log: {self.daemon.log}")

    def local(self, channel: str) -> str:
        """Return the local address behind a channel's public one."""
        return f"http://127.0.0.1:{self.port}/hooks/{channel}"

    def public(self, channel: str) -> str:
        """Return the address that the provider knows."""
        return f"{PUBLIC}/hooks/{channel}"

    def sms(self, channel: str, sender: str, words: str) -> None:
        """A person writes a text message, and Twilio calls."""
        form = self.twilio.form(self.twilio.text(sender, SMS_LINE, words))
        answer = self.twilio.call(self.local(channel), self.public(channel), form)
        assert answer.status_code == 200, answer.text

    def sms_answers(self, sender: str) -> list[str]:
        """Return her text messages to a person."""
        return [message["body"] for message in self.twilio.sent if message["to"] == sender]

    def whatsapp_answers(self, sender: str) -> list[str]:
        """Return her WhatsApp messages to a person."""
        return [message["text"]["body"] for message in self.meta.sent if message.get("to") == sender]

    def _write(self, folder: Path) -> None:
        state = self.daemon.state_dir
        state.mkdir(mode=0o700)
        secrets = {
            state / "token": TOKEN,
            folder / "auth_token": self.twilio.token,
            folder / "access_token": self.meta.access_token,
            folder / "app_secret": self.meta.app_secret,
            folder / "verify_token": self.meta.verify_token,
        }
        for file, text in secrets.items():
            file.write_text(text + "\n")
            file.chmod(0o600)
        self.daemon.token = TOKEN
        (config := folder / ".config" / "personad").mkdir(parents=True)
        (config / "personad.toml").write_text(
            ACCOUNTS.format(
                sms=SMS_LINE,
                whatsapp=WHATSAPP_LINE,
                sid=self.twilio.sid,
                number_id=self.meta.number_id,
                folder=folder,
            )
        )
