"""What Twilio's list of messages holds: messages that no webhook brought, and what became of those that she sent.

The list has a resource for every text that came in. It is filtered by day and number, newest first, so a poll reads as
far as it knows nothing yet; the ledger drops what was committed before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from proto.gateways import Gateway, Receipt
from worker.base.log import WorkerLog
from worker.gateways.common.attachments import Attachment
from worker.gateways.common.rest import understood
from worker.gateways.common.trouble import PROVIDER_ERRORS
from worker.gateways.twilio.account import VERSION, Twilio, address_of, class_of, undelivered
from worker.gateways.twilio.inbound import FAILED, MAX_FILES, Letter, Row, letter_of_row
from worker.gateways.twilio.outbound import Rows

PAGE: Final = 100
MAX_PAGES: Final = 100
"""In one poll; what is older is left out."""

MAX_KNOWN: Final = 5000
FURTHEST: Final = 7 * 24 * 3600
"""Seconds back at most: people do not wait longer for an answer to a text message."""

OVERLAP: Final = 24 * 3600
"""Seconds by which polls overlap: the filter knows days only, in UTC."""

GIVE_UP: Final = 600.0
"""Seconds for which we ask what became of a message."""

MAX_AWAITING: Final = 500
WELL: Final = frozenset({"delivered", "read", "received", "canceled"})


class _File(msgspec.Struct):
    sid: str
    content_type: str = ""


class _Files(msgspec.Struct):
    media_list: list[_File] = []


class Poller:
    """Reads the lists of one number. ``since`` is the epoch second from which messages are hers."""

    def __init__(self, gateway: Gateway, twilio: Twilio, log: WorkerLog) -> None:
        self._address = address_of(gateway.type, gateway.phone)
        self._twilio = twilio
        self._log = log
        self._known: dict[str, None] = {}
        self._since = gateway.since // 1_000_000_000 or int(time.time())
        self._read_to = self._since

    def know(self, sids: Sequence[str]) -> None:
        """These messages are committed."""
        for sid in sids:
            self._known[sid] = None
        while len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]

    async def news(self) -> list[Row]:
        """The messages that came in and are not known yet, oldest first. Raises what a request may raise."""
        now = int(time.time())
        horizon = max(self._since, self._read_to - OVERLAP, now - FURTHEST)
        found: dict[str, Row] = {}
        params = {"To": self._address, "DateSent>": _day(horizon), "PageSize": str(PAGE)}
        page = understood(await self._twilio.ask("GET", self._twilio.path("Messages.json"), params=params), Rows)
        for _ in range(MAX_PAGES):
            fresh = [row for row in page.messages if row.sid not in self._known and row.at >= horizon]
            found |= {row.sid: row for row in fresh if row.direction == "inbound"}
            if not fresh or not page.next_page_uri or not page.next_page_uri.startswith(f"{VERSION}/"):
                break
            page = understood(await self._twilio.ask("GET", page.next_page_uri), Rows)
        else:
            self._log.warning("twilio.long_list", messages=len(found))
        oldest_first = list(found.values())[::-1]
        return sorted(oldest_first, key=lambda row: row.at)

    def read(self, rows: Sequence[Row]) -> None:
        """These are committed, and so is everything before them."""
        self.know([row.sid for row in rows])
        self._read_to = max([self._read_to, *(row.at for row in rows)])

    async def letter(self, row: Row) -> Letter | None:
        """A row with its files' addresses; files whose list cannot be had are described instead."""
        count = int(row.num_media) if row.num_media.isdigit() else 0
        files: tuple[Attachment, ...] = ()
        if count:
            try:
                files = await self._files(row.sid)
            except PROVIDER_ERRORS as error:
                self._log.warning("twilio.media_unlisted", reason=self._twilio.trouble(error).reason)
                files = (Attachment("", ""),) * min(count, MAX_FILES)
        return letter_of_row(row, files)

    async def receipts(self, channel: str, awaiting: dict[str, float]) -> list[Receipt]:
        """What became of these messages; those that are told or too old are taken out."""
        now = asyncio.get_running_loop().time()
        params = {"From": self._address, "DateSent>": _day(int(time.time() - GIVE_UP)), "PageSize": str(PAGE)}
        page = understood(await self._twilio.ask("GET", self._twilio.path("Messages.json"), params=params), Rows)
        failed = []
        for row in page.messages:
            if row.sid in awaiting and row.status in (FAILED | WELL):
                del awaiting[row.sid]
                if row.status in FAILED:
                    reason = undelivered(row.error_code, row.error_message or "")
                    failed.append(Receipt(channel, row.sid, reason, class_of(row.error_code)))
        for sid in [sid for sid, at in awaiting.items() if now - at > GIVE_UP]:
            del awaiting[sid]
        while len(awaiting) > MAX_AWAITING:
            del awaiting[next(iter(awaiting))]
        return failed

    async def _files(self, sid: str) -> tuple[Attachment, ...]:
        page = await self._twilio.ask("GET", self._twilio.path(f"Messages/{sid}/Media.json"))
        found = understood(page, _Files).media_list[:MAX_FILES]
        base = self._twilio.url + self._twilio.path(f"Messages/{sid}/Media/")
        return tuple(Attachment(base + file.sid, file.content_type) for file in found)


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
