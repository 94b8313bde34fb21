"""The queue of webhook requests for gateways: committed first, then handed to the process until it has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Final

from daemon.conversations.worker import Worker
from daemon.ledger import Ledger, LedgerError, OpenWebhook
from daemon.logging.log import Log
from daemon.runtime.clock import Clock, Timer
from daemon.runtime.tasks import PersonaTasks
from proto.gateways import Unread, WebhookRequest

IN_FLIGHT: Final = 16
"""Requests that one process may have in hand."""

PATIENCE: Final = 300.0
"""Seconds after which an unhandled request makes room for others; the next process gets it again."""

READ_RETRY: Final = 1.0


@dataclass
class _Feed:
    """The requests given to one process. ``last`` is the largest number; a process died with ``suspect`` before."""

    worker: Worker
    last: int = 0
    in_flight: dict[int, Timer] = field(default_factory=dict)
    suspect: int | None = None
    reading: bool = False
    unread: bool = False


class WebhookQueue:
    """The feeds of all personas that run."""

    def __init__(
        self, ledger: Ledger, poison_deaths: int, tasks: PersonaTasks, clock: Clock, log: Log, version: str
    ) -> None:
        """``version`` is this personad's: what it cannot read waits for another one."""
        self._ledger = ledger
        self._poison_deaths = poison_deaths
        self._tasks = tasks
        self._clock = clock
        self._log = log
        self._version = version
        self._feeds: dict[str, _Feed] = {}

    async def accept(self, persona_id: str, channel: str, key: str, content_type: str, body: bytes) -> bool:
        """Commit a verified request for her gateway; False when it was committed before. Raises LedgerError.

        ``key`` identifies a request that the provider sends again.
        """
        tasks = self._tasks.of(persona_id)
        # After a fault here it may be committed: her next process gets it.
        with tasks.reported(LedgerError):
            number = await self._ledger.webhook(channel, key, content_type, body, self._clock.time_ns())
        if number is not None:
            tasks.call(partial(self._pump, persona_id))
        return number is not None

    def attach(self, persona_id: str, worker: Worker) -> None:
        """Give the open requests to this worker's gateways."""
        self._feeds[persona_id] = _Feed(worker)
        self._pump(persona_id)

    async def detach(self, persona_id: str, *, crashed: bool) -> None:
        """Her process is gone. Its requests are tried again, but one that keeps killing processes is kept unread."""
        feed = self._feeds.pop(persona_id, None)
        if feed is None:
            return
        for timer in feed.in_flight.values():
            timer.cancel()
        if not crashed or not feed.in_flight:
            return
        try:
            poison = await self._ledger.webhooks_died(list(feed.in_flight), self._poison_deaths, self._version)
        except LedgerError as error:
            self._log.error("inbox.deaths_not_counted", persona=persona_id, reason=str(error))
            return
        for number in poison:
            self._log.error("hook.poison", persona=persona_id, hook=number)

    async def close(self, persona_id: str, numbers: list[int]) -> None:
        """Close requests whose messages are committed. Raises LedgerError."""
        if numbers:
            await self._ledger.close_webhooks(persona_id, numbers)
            self.done(persona_id, numbers)

    async def keep_unread(self, persona_id: str, channel: str, found: list[Unread]) -> None:
        """Keep what her gateway cannot read: it is shown on the channel, and tried again after an upgrade.

        Raises LedgerError.
        """
        if not found:
            return
        await self._ledger.keep_unread(persona_id, channel, found, self._clock.time_ns(), self._version)
        for one in found:
            self._log.error("hook.unreadable", persona=persona_id, channel=channel, hook=one.number, reason=one.reason)
        self.done(persona_id, [one.number for one in found if one.number])

    def done(self, persona_id: str, numbers: list[int]) -> None:
        """Remove requests that are handled and committed as such."""
        feed = self._feeds.get(persona_id)
        if feed and numbers:
            for number in numbers:
                self._remove_from_flight(feed, number)
            self._pump(persona_id)

    def _pump(self, persona_id: str) -> None:
        feed = self._feeds.get(persona_id)
        if feed is None:
            return
        feed.unread = True
        if not feed.reading:
            feed.reading = True
            self._tasks.of(persona_id).start(self._feed(persona_id, feed))

    async def _feed(self, persona_id: str, feed: _Feed) -> None:
        """Hand over open requests as far as there is room."""
        try:
            while feed.unread and self._feeds.get(persona_id) is feed:
                feed.unread = False
                room = IN_FLIGHT - len(feed.in_flight)
                if room > 0 and feed.suspect is None:
                    found = await self._ledger.open_webhooks(persona_id, feed.last, room, self._version)
                    self._send(persona_id, feed, found)
        except LedgerError as error:
            self._log.error("hook.unread", persona=persona_id, reason=str(error))
            self._tasks.of(persona_id).call_later(READ_RETRY, partial(self._pump, persona_id))
        finally:
            feed.reading = False

    def _send(self, persona_id: str, feed: _Feed, webhooks: list[OpenWebhook]) -> None:
        """Send requests. One that a process died with is sent alone, so that only the culprit counts as poison."""

        for webhook in webhooks:
            if feed.suspect is not None or (webhook.deaths and feed.in_flight):
                return
            if webhook.deaths:
                feed.suspect = webhook.number
            feed.last = webhook.number
            feed.in_flight[webhook.number] = self._tasks.of(persona_id).call_later(
                PATIENCE, partial(self._expired, persona_id, feed, webhook.number)
            )
            feed.worker.send(WebhookRequest(webhook.number, webhook.channel, webhook.content_type, webhook.body))

    def _expired(self, persona_id: str, feed: _Feed, number: int) -> None:
        self._log.warning("hook.ignored", persona=persona_id, hook=number)
        self._remove_from_flight(feed, number)
        self._pump(persona_id)

    def _remove_from_flight(self, feed: _Feed, number: int) -> None:
        if timer := feed.in_flight.pop(number, None):
            timer.cancel()
        if feed.suspect == number:
            feed.suspect = None
