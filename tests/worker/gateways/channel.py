"""Runs one gateway in a test, takes the daemon's part and collects what the gateway sends."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from proto.gateways import Deliver, Delivered, GatewayState, Inbound, Receipt, Undelivered, Unread, WebhookRequest
from tests.patience import PATIENCE
from worker.base.log import WorkerLog
from worker.gateways.common.gateway import Gateway
from worker.gateways.common.link import GatewayLink, Report

T = TypeVar("T")

OpenGateway = Callable[[Path, GatewayLink, WorkerLog], Gateway[Any, Any, Any]]
"""Creates a gateway with this folder for its files, this link to the daemon and this log."""


class Channel:
    """Commits inbound messages unless ``refusals`` is set, and keeps everything that the gateway reports."""

    def __init__(self, folder: Path, open_gateway: OpenGateway) -> None:
        self.batches: list[list[Inbound]] = []
        self.offers: list[list[Inbound]] = []
        self.reports: list[Report] = []
        self.states: list[GatewayState] = []
        self.refusals = 0
        self.webhooks_done: list[int] = []
        self.unread: list[Unread] = []
        self.media = folder / "media"
        self.log_file = folder / "log"
        self._webhooks = 0
        self._news = asyncio.Event()
        self._log = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.gateway = open_gateway(self.media, self, WorkerLog(self._log))
        self._run = asyncio.create_task(self.gateway.run())

    async def received(
        self, channel: str, items: list[Inbound], webhooks: Sequence[int] = (), unread: Sequence[Unread] = ()
    ) -> bool:
        """Refuse the first ``refusals`` batches, and commit all others."""
        assert channel == self.gateway.channel
        self.offers.append(items)
        self._news.set()
        if self.refusals:
            self.refusals -= 1
            return False
        self.batches.append(items)
        self.webhooks_done += webhooks
        self.unread += unread
        return True

    def changed(self, state: GatewayState) -> None:
        self.states.append(state)
        self._news.set()

    def send(self, message: Report) -> None:
        self.reports.append(message)
        self._news.set()

    @property
    def items(self) -> list[Inbound]:
        """All committed messages."""
        return [item for batch in self.batches for item in batch]

    @property
    def texts(self) -> list[str]:
        """The contents of all committed messages."""
        return [item.content for item in self.items]

    def log(self) -> str:
        """Return what the gateway has logged."""
        return self.log_file.read_text()

    def webhook(self, body: bytes, content_type: str) -> int:
        """Pass a webhook request to the gateway, and return its number."""
        self._webhooks += 1
        self.gateway.webhook(WebhookRequest(self._webhooks, self.gateway.channel, content_type, body))
        return self._webhooks

    async def handled(self, number: int) -> list[Inbound]:
        """Wait until a webhook request is done or kept unread, and return all committed messages."""
        kept = self.unread
        await self.until(lambda: number in self.webhooks_done or any(one.number == number for one in kept) or None)
        return self.items

    def deliver(self, content: str, chat: int | str, *, seq: int = 1, **fields: object) -> None:
        """Ask the gateway to deliver a message."""
        whole = {"kind": "text", "media": None, "parts_sent": 0, "ambiguous": False, **fields}
        self.gateway.deliver(Deliver(seq, self.gateway.channel, str(chat), f"key-{seq}", content=content, **whole))  # type: ignore[arg-type]  # the fields are Deliver's

    async def outcome(self, seq: int = 1) -> Delivered | Undelivered:
        """Wait for the outcome of a delivery."""
        return await self.until(lambda: next((end for end in self._ends() if end.seq == seq), None))

    async def first(self, count: int = 1) -> list[Inbound]:
        """Wait until ``count`` messages are committed."""
        await self.until(lambda: len(self.items) >= count)
        return self.items

    async def in_state(self, state: str) -> GatewayState:
        """Wait until the gateway reports a state, and return it."""
        return await self.until(lambda: next((one for one in self.states[-1:] if one.state == state), None))

    async def until(self, condition: Callable[[], T | None]) -> T:
        """Wait until the condition is true. Fails if the gateway ends first."""
        async with asyncio.timeout(PATIENCE):
            while not (found := condition()):
                assert not self._run.done(), self._run
                self._news.clear()
                await self._news.wait()
        return found

    @property
    def receipts(self) -> list[Receipt]:
        """The provider's later reports about delivered messages."""
        return [report for report in self.reports if isinstance(report, Receipt)]

    def _ends(self) -> list[Delivered | Undelivered]:
        return [report for report in self.reports if isinstance(report, Delivered | Undelivered)]

    async def close(self) -> None:
        self._run.cancel()
        await asyncio.wait([self._run])
        await self.gateway.close()
        os.close(self._log)
        if not self._run.cancelled():
            self._run.result()
