"""Polls Twilio's list of messages: for messages that no webhook brought, and for the fate of her own messages.

The list contains every inbound text. It is filtered by day and number, newest first, so a poll reads pages until it
finds only known messages. The ledger drops what was committed before.
https://www.twilio.com/docs/messaging/api/message-resource#read-multiple-message-resources
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
from worker.gateways.twilio.inbound import FAILED, MAX_FILES, Draft, Row, draft_of_row
from worker.gateways.twilio.outbound import Rows

PAGE: Final = 100
MAX_PAGES: Final = 100
"""Pages read in one poll; anything older is skipped."""

MAX_KNOWN: Final = 5000
FURTHEST: Final = 7 * 24 * 3600
"""How many seconds back a poll reads at most: nobody waits longer for an answer to a text message."""

OVERLAP: Final = 24 * 3600
"""Seconds by which polls overlap, because the list can only be filtered by day, in UTC."""

GIVE_UP: Final = 600.0
"""Seconds after which we stop asking for a message's fate."""

MAX_AWAITING: Final = 500
WELL: Final = frozenset({"delivered", "read", "received", "canceled"})


class _File(msgspec.Struct):
    sid: str
    content_type: str = ""


class _Files(msgspec.Struct):
    media_list: list[_File] = []


class Poller:
    """Reads the list of one number, from the time when the channel was created."""

    def __init__(self, gateway: Gateway, twilio: Twilio, log: WorkerLog) -> None:
        self._address = address_of(gateway.type, gateway.phone)
        self._twilio = twilio
        self._log = log
        self._known: dict[str, None] = {}
        self._since = gateway.since // 1_000_000_000 or int(time.time())
        self._read_to = self._since

    def know(self, sids: Sequence[str]) -> None:
        """Note that these messages are committed."""
        for sid in sids:
            self._known[sid] = None
        while len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]

    async def new_messages(self) -> list[Row]:
        """Return the inbound messages that are not known yet, oldest first. Raises what PROVIDER_ERRORS lists."""
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
        """Note that these messages, and all earlier ones, are committed."""
        self.know([row.sid for row in rows])
        self._read_to = max([self._read_to, *(row.at for row in rows)])

    async def draft(self, row: Row) -> Draft | None:
        """Return a row's message with the addresses of its files; files that cannot be listed have none.

        https://www.twilio.com/docs/messaging/api/media-resource
        """
        files: tuple[Attachment, ...] = ()
        if row.num_media.strip("0"):
            try:
                files = await self._files(row.sid)
            except PROVIDER_ERRORS as error:
                self._log.warning("twilio.media_unlisted", reason=self._twilio.trouble(error).reason)
                count = int(row.num_media[:2]) if row.num_media.isdecimal() else 1
                files = (Attachment("", ""),) * min(count, MAX_FILES)
        return draft_of_row(row, files)

    async def receipts(self, channel: str, awaiting: dict[str, float]) -> list[Receipt]:
        """Return the failures among these messages; removes from ``awaiting`` those that are settled or too old.

        Raises what PROVIDER_ERRORS lists.
        """
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
