"""SMS and WhatsApp through Twilio: webhooks if there is a public address, and polls of the list of messages.

Rare polls continue beside webhooks, because Twilio repeats a failed webhook only once
(https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from proto.gateways import Gateway as Channel
from proto.gateways import Inbound, Unread, WebhookRequest
from worker.base.log import WorkerLog
from worker.gateways.common import gateway as kernel
from worker.gateways.common.batches import MAX_ITEMS
from worker.gateways.common.link import GatewayLink
from worker.gateways.twilio.account import Twilio, digits
from worker.gateways.twilio.inbound import Draft, draft, form_of, opt_change, receipt, with_files
from worker.gateways.twilio.outbound import TwilioSender
from worker.gateways.twilio.poll import Poller

LIVELY: Final = 300.0
"""Seconds after the last message during which polls are frequent."""


class Timing(kernel.Timing, frozen=True, kw_only=True):
    """How long the gateway waits, in seconds."""

    poll: float = 5.0
    """Between two polls while people write."""
    idle: float = 15.0
    """Between two polls after a while without messages."""


class TwilioGateway(kernel.Gateway[Twilio, TwilioSender, Timing]):
    """One phone number of a persona."""

    account_type = Twilio
    sender_type = TwilioSender
    timing_type = Timing

    def __init__(
        self, gateway: Channel, url: str, media: Path, link: GatewayLink, log: WorkerLog, timing: Timing | None = None
    ) -> None:
        super().__init__(gateway, url, media, link, log, timing)
        self._poller = Poller(gateway, self.account, log)
        self._is_called = False
        self._lively_until = 0.0

    async def exchange(self) -> float:
        """Poll. The first time, also check that the number is ours, and set its webhook if it has none."""
        if not self.identity.id:
            await self._sign_in()
        rows = await self._poller.new_messages()
        self.up()
        polled = [one for row in rows if (one := await self._poller.draft(row))]
        found = [one for one in polled if self._is_wanted(one)]
        for start in range(0, len(found), MAX_ITEMS):
            await self.commit(await self._with_files(found[start : start + MAX_ITEMS]))
        self._poller.read(rows)
        if self.sender.awaiting_receipt:
            for failed in await self._poller.receipts(self.channel, self.sender.awaiting_receipt):
                self.link.send(failed)
        if self._is_called:
            return self.timing.check
        lively = asyncio.get_running_loop().time() < self._lively_until
        return self.timing.poll if lively else self.timing.idle

    async def read(self, webhooks: Sequence[WebhookRequest]) -> kernel.Reading:
        """Return the messages in these requests. Receipts for her own messages are reported at once."""
        drafts: list[Draft] = []
        unread: list[Unread] = []
        for webhook in webhooks:
            try:
                form = form_of(webhook.body)
                found = None if "MessageStatus" in form else self._draft(form)
            except ValueError as error:
                self.log.error("twilio.unreadable", webhook=webhook.number, reason=type(error).__name__)
                unread.append(Unread("Twilio's form cannot be read", webhook.number))
                continue
            if failed := receipt(self.channel, form):
                self.link.send(failed)
            if found:
                self._is_called = True
                drafts.append(found)
        return kernel.Reading(await self._with_files(drafts), unread)

    async def committed(self, items: Sequence[Inbound]) -> None:
        self._poller.know([item.key.partition(".")[0] for item in items])
        if items:
            self._lively_until = asyncio.get_running_loop().time() + LIVELY

    def _draft(self, form: dict[str, str]) -> Draft | None:
        """Return the message of a request, unless it is for another number or for Twilio itself."""
        ours = digits(form.get("To", "")) == digits(self.gateway.phone)
        found = draft(form) if ours or "messaging_service_sid" in self.gateway.credentials else None
        if found is None:
            self.log.warning("twilio.not_ours", message=form.get("MessageSid", "")[:64])
        return found if found and self._is_wanted(found, form.get("OptOutType", "")) else None

    def _is_wanted(self, found: Draft, opt_out_type: str = "") -> bool:
        """Whether a message goes to the daemon: not her own, and not HELP, which Twilio answers itself.

        STOP and START go there as such: the daemon sends this person nothing from STOP until START. The sender knows it
        at once, so that the rest of a message that is on its way stays here.
        """
        inbound = found.inbound
        if inbound.account == digits(self.gateway.phone):
            return False
        match opt_change(self.gateway.type, inbound.content, opt_out_type):
            case "help":
                return False
            case "stop" | "start" as word:
                inbound.opt_out = word == "stop"
                self.sender.opting(inbound.chat, out=inbound.opt_out)
                self.log.info("twilio.opting", message=inbound.key, out=inbound.opt_out)
        return True

    async def _with_files(self, drafts: Sequence[Draft]) -> list[Inbound]:
        """Return these messages with their files."""
        done = await asyncio.gather(*(with_files(one, self.files) for one in drafts))
        return [item for items in done for item in items]

    async def _sign_in(self) -> None:
        number = await self.account.sign_in()
        if number and self.gateway.webhook and number.sms_url != self.gateway.webhook:
            if number.is_free:
                form = {"SmsUrl": self.gateway.webhook, "SmsMethod": "POST"}
                await self.account.ask("POST", self.account.path(f"IncomingPhoneNumbers/{number.sid}.json"), form=form)
            else:
                # The number already calls another service, which is not ours to change; polls bring the messages too.
                self.log.warning("twilio.webhook_elsewhere", number=self.gateway.phone)
        self.introduce(self.account.identity(number))
