"""Her messages through Twilio: plain texts, in few segments, and never one that was sent already."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from proto.gateways import Deliver, Gateway
from proto.secrets import Secret
from worker.base.log import WorkerLog
from worker.gateways import Report
from worker.gateways.common.budget import Budget
from worker.gateways.common.rest import Trouble, understood
from worker.gateways.common.sending import MARK, Fate, Part, Sender
from worker.gateways.common.splitting import Rich, split_rich
from worker.gateways.twilio.api import PROVIDER, Twilio, address_of, fate
from worker.gateways.twilio.inbound import Row
from worker.gateways.twilio.sms_text import cheap, plain

MAX_MESSAGE: Final = 1600 - len(MARK)
"""Characters (Twilio, messages resource), with room for the mark."""

LONG: Final = 4000
"""Characters from which a text is cut on a thread, so that the loop goes on."""

LOOK_BACK: Final = "50"
"""Messages to one person among which a doubtful one is looked for."""

PICTURE: Final = "(There is a picture with this that cannot be sent here.)"
OPTED_OUT: Final = "The person opted out with STOP; they can write START."
NEVER: Final = frozenset({"failed", "undelivered", "canceled"})


class Sent(msgspec.Struct):
    """Twilio's answer to a message that it takes."""

    sid: str


class Rows(msgspec.Struct):
    """One page of messages."""

    messages: list[Row] = []
    next_page_uri: str | None = None


class TwilioSender(Sender):
    """Sends for one number."""

    def __init__(
        self,
        gateway: Gateway,
        twilio: Twilio,
        budget: Budget,
        report: Callable[[Report], None],
        refused: Callable[[Trouble], None],
        log: WorkerLog,
    ) -> None:
        super().__init__(PROVIDER, budget, report, refused, log)
        self.opted_out: set[str] = set()
        """Chats whose person said STOP; Twilio remembers it beyond this process."""
        self.unsettled: dict[str, float] = {}
        """Messages that Twilio has taken, by their SID, with the loop time; their fate is not known."""
        self.callback = ""
        """Where Twilio tells what became of a message, "" for nowhere."""
        self._kind = gateway.type
        self._phone = gateway.phone
        self._service = gateway.credentials.get("messaging_service_sid", Secret(""))
        self._twilio = twilio
        self._works = False

    async def parts(self, message: Deliver) -> list[Part]:
        """A message as plain texts; nothing but words can be sent without a public place for files."""
        text = message.content
        cut = self._cut(text) if len(text) <= LONG else await asyncio.to_thread(self._cut, text)
        if message.kind == "image":
            cut.append(PICTURE)
        return [Part(piece) for piece in cut]

    async def send(self, chat: str, part: Part) -> str:
        """Send one text and return its SID."""
        form = {"To": address_of(self._kind, chat), "Body": part.text}
        if service := self._service.reveal():
            form["MessagingServiceSid"] = service
        else:
            form["From"] = address_of(self._kind, self._phone)
        if self.callback:
            form["StatusCallback"] = self.callback
        sent = understood(await self._twilio.ask("POST", self._twilio.path("Messages.json"), form=form), Sent)
        self._works = True
        if not self.callback:
            self.unsettled[sent.sid] = asyncio.get_running_loop().time()
        return sent.sid

    def fate(self, error: Exception, chat: str) -> Fate:
        """Say of what kind a failure is; the number is not to blame for one person if it has worked for others."""
        del chat
        found = fate(error)
        if found.trouble.kind == "config" and self._works:
            return Fate(found.trouble._replace(kind="recipient"), permanent=True)
        return found

    def stopped(self, chat: str) -> str:
        """Nothing goes to who opted out."""
        return OPTED_OUT if chat in self.opted_out else ""

    async def sent_already(self, message: Deliver, part: Part) -> str:
        """Look for the text among what was sent to this person since she wrote it: ``seq`` is when, in microseconds."""
        since = message.seq // 1_000_000
        day = datetime.fromtimestamp(since, UTC).date().isoformat()
        params = {
            "To": address_of(self._kind, message.chat),
            "From": address_of(self._kind, self._phone),
            "DateSent>": day,
            "PageSize": LOOK_BACK,
        }
        page = understood(await self._twilio.ask("GET", self._twilio.path("Messages.json"), params=params), Rows)
        texts = (part.text, part.marked().text)
        return next(
            (row.sid for row in page.messages if row.body in texts and row.at >= since and row.status not in NEVER), ""
        )

    def _cut(self, markdown: str) -> list[str]:
        text = plain(markdown)
        if self._kind == "sms":
            text = cheap(text)
        return [piece.text for piece in split_rich(Rich(text), MAX_MESSAGE)]
