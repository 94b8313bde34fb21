"""Sends her messages through Twilio: plain text in few segments; a doubtful send is looked up before it is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from proto.gateways import Deliver, Gateway
from proto.secrets import Secret
from worker.base.log import WorkerLog
from worker.gateways.common.budget import Pace
from worker.gateways.common.link import Report
from worker.gateways.common.markdown import plain
from worker.gateways.common.rest import understood
from worker.gateways.common.sending import MARK, Part, Sender
from worker.gateways.common.splitting import Rich, split_rich
from worker.gateways.common.trouble import Trouble
from worker.gateways.twilio.account import Twilio, address_of
from worker.gateways.twilio.inbound import Row
from worker.gateways.twilio.sms_text import cheap

MAX_MESSAGE: Final = 1600 - len(MARK)
"""Characters (https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource)."""

LOOK_BACK: Final = "50"
"""How many messages to one person are searched for one that may already have been sent."""

PICTURE: Final = "(This came with a picture that cannot be sent here.)"
OPTED_OUT: Final = "The person opted out with STOP; they can write START."
MAX_STOPPED: Final = 1000
NEVER: Final = frozenset({"failed", "undelivered", "canceled"})


class Sent(msgspec.Struct):
    """Twilio's answer when it has accepted a message."""

    sid: str


class Rows(msgspec.Struct):
    """One page of messages."""

    messages: list[Row] = []
    next_page_uri: str | None = None


class TwilioSender(Sender[Twilio]):
    """Sends for one number."""

    # Twilio queues what exceeds the number's rate; our own pace keeps one person from getting too much at once
    # (https://help.twilio.com/articles/115002943027).
    chat_pace = Pace(rate=1.0, burst=3.0)
    bot_pace = Pace(rate=50.0, burst=50.0)
    max_message = MAX_MESSAGE
    max_caption = 0

    def __init__(
        self,
        gateway: Gateway,
        account: Twilio,
        folder: Path,
        report: Callable[[Report], None],
        refused: Callable[[Trouble], None],
        log: WorkerLog,
    ) -> None:
        super().__init__(gateway, account, folder, report, refused, log)
        self._stopped: dict[str, None] = {}
        self.awaiting_receipt: dict[str, float] = {}
        """Loop time of each accepted message whose delivery is not known yet, by its SID."""
        self._service = gateway.credentials.get("messaging_service_sid", Secret(""))
        self._works = False

    def cut(self, markdown: str) -> list[Rich]:
        text = plain(markdown)
        return split_rich(Rich(cheap(text) if self.gateway.type == "sms" else text), MAX_MESSAGE)

    def arrange(self, message: Deliver, cut: list[Rich]) -> list[Part]:
        """Send texts only: Twilio fetches files from a public URL, and personad has none for them.

        https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource
        """
        texts = [Part(piece.text) for piece in cut]
        return [*texts, Part(PICTURE)] if message.kind == "image" else texts

    async def send(self, chat: str, part: Part) -> str:
        """Send one text and return its SID."""
        kind, callback = self.gateway.type, self.gateway.webhook
        form = {"To": address_of(kind, chat), "Body": part.text}
        if service := self._service.reveal():
            form["MessagingServiceSid"] = service
        else:
            form["From"] = address_of(kind, self.gateway.phone)
        if callback:
            form["StatusCallback"] = callback
        sent = understood(await self.account.ask("POST", self.account.path("Messages.json"), form=form), Sent)
        self._works = True
        if not callback:
            self.awaiting_receipt[sent.sid] = asyncio.get_running_loop().time()
        return sent.sid

    def trouble(self, error: Exception, chat: str) -> Trouble:
        """Say what a failed send means. If the number has worked before, the failure concerns only this person."""
        found = super().trouble(error, chat)
        if found.error_class == "config" and self._works:
            return found._replace(error_class="recipient", fate="never")
        return found

    def opting(self, chat: str, *, out: bool) -> None:
        """Note that a person has just opted out or in. The daemon knows it longer, and sends nothing to them."""
        self._stopped.pop(chat, None)
        if out:
            self._stopped[chat] = None
        if len(self._stopped) > MAX_STOPPED:
            del self._stopped[next(iter(self._stopped))]

    def opted_out(self, chat: str) -> str:
        return OPTED_OUT if chat in self._stopped else ""

    async def sent_already(self, message: Deliver, part: Part) -> str:
        """Look for the text among the messages to this person since she wrote it; ``seq`` is that time in microseconds.

        https://www.twilio.com/docs/messaging/api/message-resource#read-multiple-message-resources
        """
        since = message.seq // 1_000_000
        day = datetime.fromtimestamp(since, UTC).date().isoformat()
        params = {
            "To": address_of(self.gateway.type, message.chat),
            "From": address_of(self.gateway.type, self.gateway.phone),
            "DateSent>": day,
            "PageSize": LOOK_BACK,
        }
        page = understood(await self.account.ask("GET", self.account.path("Messages.json"), params=params), Rows)
        texts = (part.text, part.marked().text)
        return next(
            (row.sid for row in page.messages if row.body in texts and row.at >= since and row.status not in NEVER), ""
        )
