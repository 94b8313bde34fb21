"""A webhook listener with a real ledger behind it, and requests as the providers sign them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import httpx
from slack_sdk.signature import SignatureVerifier

from daemon.channels.webhook_queue import WebhookQueue
from daemon.ledger import ChannelFields, Ledger
from daemon.logging.log import Log, Sink
from daemon.runtime.clock import SystemClock
from daemon.runtime.tasks import PersonaTasks, daemon_tasks
from daemon.settings.sections import Hooks as WebhookSettings
from daemon.settings.sections import Logs
from daemon.webhooks import WebhookApp, WebhookChannel, WebhookListener, listener
from proto.gateways import GatewayType
from proto.secrets import Secret
from tests.daemon_process import free_port
from tests.emulators.meta import MetaEmulator
from tests.emulators.twilio import FORM, TwilioEmulator
from tests.patience import PATIENCE

PUBLIC = "https://hooks.example.org"
SMS, WHATSAPP, SLACK, TELEGRAM, KEYLESS = ("1" * 16, "2" * 16, "3" * 16, "4" * 16, "5" * 16)
JSON = "application/json"
Headers = dict[str, str]


@dataclass
class Door:
    """A listener and what is behind it."""

    url: str
    ledger: Ledger
    http: httpx.AsyncClient
    log: Path
    twilio: TwilioEmulator = field(default_factory=TwilioEmulator)
    meta: MetaEmulator = field(default_factory=MetaEmulator)

    def at(self, channel: str, query: str = "") -> str:
        """Return a channel's address here."""
        return f"{self.url}/hooks/{channel}{query}"

    async def post(self, channel: str, body: bytes, headers: Headers, query: str = "") -> httpx.Response:
        """Send a request unchanged."""
        return await self.http.post(self.at(channel, query), content=body, headers=headers)

    async def kept(self) -> list[bytes]:
        """Return the bodies that are kept for her gateways."""
        return [webhook.body for webhook in await self.ledger.open_webhooks("her")]

    def sms(self, words: str = "hello", query: str = "", **fields: str) -> tuple[bytes, Headers]:
        """Return a signed message from Twilio."""
        form = {"MessageSid": f"SM{time.monotonic_ns():032x}", "From": "+15557654321", "Body": words, **fields}
        signature = self.twilio.sign(f"{PUBLIC}/hooks/{SMS}{query}", form)
        return urlencode(form).encode(), {"content-type": FORM, "x-twilio-signature": signature}

    def whatsapp(self, words: str = "hello") -> tuple[bytes, Headers]:
        """Return a signed batch from Meta."""
        body = self.meta.batch(self.meta.message("15557654321", body=words))
        return body, {"content-type": JSON, "x-hub-signature-256": self.meta.sign(body)}


def slack(body: bytes, at: float) -> Headers:
    """Return the headers of a request from Slack."""
    signature = SignatureVerifier("shh").generate_signature(timestamp=str(int(at)), body=body) or ""
    return {"content-type": JSON, "x-slack-request-timestamp": str(int(at)), "x-slack-signature": signature}


@asynccontextmanager
async def opened(tmp_path: Path, public_url: str = PUBLIC) -> AsyncIterator[Door]:
    """A listener for four channels of one persona."""
    log_file = tmp_path / "log"
    ledger = await Ledger.open(tmp_path / "ledger.db")
    with log_file.open("w") as stream:
        # Not configure(): it would replace the process's logging and keep writing to whatever file gets this descriptor
        # next.
        log = Log(Sink(Logs(level="debug"), stream.fileno(), terminal=False))
        clock = SystemClock()
        persona_tasks, tasks = PersonaTasks(clock, log), daemon_tasks(clock, log)
        feed = WebhookQueue(ledger, 3, persona_tasks, clock, log, "1")
        port = free_port()
        listening = listener(WebhookSettings(port=port, public_url=public_url))
        assert listening
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as http:
            door = Door(f"http://127.0.0.1:{port}", ledger, http, log_file)
            channels = _channels(door)
            for number, (channel, found) in enumerate(channels.items()):
                fields = ChannelFields(name=channel)
                await ledger.add_open_channel("her", channel, found.type, str(number), "", fields, 1)

            async def find(channel: str) -> WebhookChannel | None:
                return channels.get(channel)

            serving = WebhookListener(WebhookApp(find, feed, public_url, Counter(), clock, log), listening, tasks)
            try:
                yield door
            finally:
                await serving.close()
                await persona_tasks.close()
                await ledger.close()
                log.flush()
                door.twilio._socket.close()
                door.meta._socket.close()


def _channels(door: Door) -> dict[str, WebhookChannel]:
    def channel(kind: GatewayType, **credentials: str) -> WebhookChannel:
        return WebhookChannel("her", kind, {name: Secret(value) for name, value in credentials.items()})

    return {
        SMS: channel("sms", account_sid=door.twilio.sid, auth_token=door.twilio.token, signing_key="shared"),
        WHATSAPP: channel("whatsapp", app_secret=door.meta.app_secret, verify_token=door.meta.verify_token),
        SLACK: channel("slack", signing_secret="shh"),
        TELEGRAM: channel("telegram", webhook_secret="tell-me"),
        KEYLESS: channel("slack", app_token="xapp-1"),
    }
