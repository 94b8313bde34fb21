"""The daemon's end of a gateway in these tests: what a gateway hands on must fit a frame, or its process is ended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from hypothesis import strategies as st

from proto.framing import Codec
from proto.gateways import Gateway, GatewayState, Inbound, Received, Unread, WebhookRequest
from proto.messages import FromWorker
from proto.secrets import Secret
from tests.fuzz.strategies import SECRET, words
from worker.base.log import WorkerLog
from worker.gateways.common.account import Identity
from worker.gateways.common.attachments import Attachment
from worker.gateways.common.batches import fitting, groups
from worker.gateways.common.gateway import Gateway as Kernel
from worker.gateways.common.link import Report
from worker.gateways.common.media_download import Files
from worker.gateways.slack.account import File, Said, Slack
from worker.gateways.slack.gateway import SlackGateway

K = TypeVar("K", bound="Kernel[Any, Any, Any]")

CHANNEL: Final = "0123456789abcdef"
LOG: Final = WorkerLog(os.open(os.devnull, os.O_WRONLY))
_UNION: Final[Any] = FromWorker
CODEC: Final = Codec[Any](_UNION)

ids = st.sampled_from(["1", "7", "42", "U1", "C1", "D9", "15557654321", "SM" + "a" * 32, "wamid.x"])
odd_ids = ids | words | st.integers().map(str)
times = st.sampled_from(["1752232847", "1752232847.000100", "0", "99999999999999", "-5", "1e9", "2026-07-11T12:00:00Z"])
moments = st.sampled_from([1752232847, 0, -1, 2**31, 10**11, 2**63, 10**30])


META: Final = Gateway(
    CHANNEL,
    "whatsapp",
    Secret("t" * 30),
    open=True,
    credentials={"phone_number_id": Secret("77"), "app_secret": Secret("s" * 30), "verify_token": Secret("v")},
    webhook="https://x.org/hooks/1",
)
SLACK: Final = Gateway(
    CHANNEL, "slack", Secret("xoxb-1"), open=True, credentials={"signing_secret": Secret("s" * 30)}, webhook="https://x"
)
TWILIO: Final = Gateway(
    CHANNEL,
    "sms",
    Secret("t" * 32),
    open=True,
    phone="+15550001111",
    credentials={"account_sid": Secret("AC" + "0" * 32), "auth_token": Secret("t" * 32)},
    webhook="https://x.org/hooks/1",
)


class Link:
    """The daemon's end: keeps reports."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    async def received(
        self, channel: str, items: list[Inbound], webhooks: Sequence[int] = (), unread: Sequence[Unread] = ()
    ) -> bool:
        """Take everything."""
        del channel, items, webhooks, unread
        return True

    def changed(self, state: GatewayState) -> None:
        """Know it already."""

    def send(self, message: Report) -> None:
        """Keep it."""
        self.reports.append(message)


class NoFiles(Files):
    """No file is fetched."""

    async def fetch(self, item: Inbound, file: Attachment) -> str:
        """Describe the file."""
        del item
        return f"({file.what}{file.extension})"


class QuietSlack(Slack):
    """Nobody is asked for names or threads."""

    said: tuple[Said, ...] = ()

    async def name(self, user: str) -> str:
        """Everybody is called by their id."""
        return user[:32]

    async def thread(self, channel: str, thread: str, up_to: str) -> list[Said]:
        """What was made up."""
        del channel, thread, up_to
        return list(self.said)

    async def file(self, file_id: str) -> File | None:
        """No file is known."""
        del file_id
        return None


def taken(items: Sequence[Inbound], unread: Sequence[Unread] = (), reports: Sequence[Report] = ()) -> None:
    """The daemon takes all of it, as the gateways' kernel hands it on."""
    for group in groups(fitting(items)):
        some = Received(1, CHANNEL, group, [1], list(unread))
        assert CODEC.decode(CODEC.encode(some)) == some
    for report in reports:
        CODEC.decode(CODEC.encode(report))
    for one in unread:
        assert SECRET not in one.reason


def read(kind: type[K], gateway: Gateway, body: bytes) -> list[Inbound]:
    """Read a webhook request as the gateway of an open channel does."""

    async def reading() -> list[Inbound]:
        link = Link()
        made = kind(gateway, "http://127.0.0.1:1", Path("/nonexistent"), link, LOG)
        made.files = NoFiles(gateway, made.account, Path("/nonexistent"), 1, 1.0)
        if isinstance(made, SlackGateway):
            made.account = QuietSlack(gateway, "http://127.0.0.1:1")
        made.identity = Identity("9", "ada_bot")
        made.known.set()
        found = await made.read([WebhookRequest(1, CHANNEL, "application/json", body)])
        taken(found.items, found.unread, link.reports)
        assert len(found.unread) <= 1
        return list(found.items)

    return asyncio.run(reading())
