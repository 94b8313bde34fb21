"""SMS and WhatsApp through Twilio: by webhooks where there is a public address, and by polls of the list of messages.

Polls go on beside webhooks, seldom: Twilio repeats a webhook that failed only once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from proto.gateways import Gateway as Channel
from proto.gateways import Inbound, WebhookRequest
from worker.base.log import WorkerLog
from worker.gateways.common import gateway as kernel
from worker.gateways.common.link import GatewayLink
from worker.gateways.twilio.account import Twilio, digits
from worker.gateways.twilio.inbound import Letter, Opting, form_of, letter, opting, receipt, with_files
from worker.gateways.twilio.outbound import TwilioSender
from worker.gateways.twilio.poll import Poller

LIVELY: Final = 300.0
"""Seconds after the last message in which polls are frequent."""


class Timing(kernel.Timing, frozen=True, kw_only=True):
    """How long the gateway waits, in seconds."""

    poll: float = 5.0
    """Between two polls while people write."""
    idle: float = 15.0
    """Between two polls after a while without messages."""


class TwilioGateway(kernel.Gateway[Twilio, TwilioSender, Timing]):
    """One number of a persona's."""

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
        """Poll; the first time, see that the number is ours, and have Twilio call us if it may."""
        if not self.identity.id:
            await self._sign_in()
        rows = await self._poller.news()
        self.up()
        polled = [one for row in rows if (one := await self._poller.letter(row))]
        found = [one for one in polled if not self._is_not_for_her(one)]
        for start in range(0, len(found), kernel.MAX_ITEMS):
            await self.commit(await self._with_files(found[start : start + kernel.MAX_ITEMS]))
        self._poller.read(rows)
        if self.sender.awaiting_receipt:
            for failed in await self._poller.receipts(self.channel, self.sender.awaiting_receipt):
                self.link.send(failed)
        if self._is_called:
            return self.timing.check
        lively = asyncio.get_running_loop().time() < self._lively_until
        return self.timing.poll if lively else self.timing.idle

    async def read(self, webhooks: Sequence[WebhookRequest]) -> list[Inbound]:
        """The messages in these requests; receipts of what she sent are reported at once."""
        letters = []
        for webhook in webhooks:
            try:
                form = form_of(webhook.body)
                found = None if "MessageStatus" in form else self._letter(form)
            except ValueError as error:
                self.log.error("twilio.unreadable", webhook=webhook.number, reason=type(error).__name__)
                continue
            if failed := receipt(self.channel, form):
                self.link.send(failed)
            if found:
                self._is_called = True
                letters.append(found)
        return await self._with_files(letters)

    async def committed(self, items: Sequence[Inbound]) -> None:
        self._poller.know([item.key.partition(".")[0] for item in items])
        if items:
            self._lively_until = asyncio.get_running_loop().time() + LIVELY

    def _letter(self, form: dict[str, str]) -> Letter | None:
        """The message of a request, unless it is for another number or for Twilio itself."""
        ours = digits(form.get("To", "")) == digits(self.gateway.phone)
        found = letter(form) if ours or "messaging_service_sid" in self.gateway.credentials else None
        if found is None:
            self.log.warning("twilio.not_ours", message=form.get("MessageSid", "")[:64])
        return found if found and not self._is_not_for_her(found, form.get("OptOutType", "")) else None

    def _is_not_for_her(self, found: Letter, told: str = "") -> bool:
        """Her own messages; or STOP, START, HELP, which Twilio answers. After STOP nothing is sent until START."""
        inbound = found.inbound
        if inbound.account == digits(self.gateway.phone):
            return True
        match opting(self.gateway.type, inbound.account, inbound.content, told):
            case Opting(account, out):
                (self.sender.stopped.add if out else self.sender.stopped.discard)(account)
                self.log.info("twilio.opting", message=inbound.key, out=out)
                return True
            case "":
                return False
        return True

    async def _with_files(self, letters: Sequence[Letter]) -> list[Inbound]:
        """These messages with their files."""
        done = await asyncio.gather(*(with_files(one, self.files) for one in letters))
        return [item for items in done for item in items]

    async def _sign_in(self) -> None:
        number = await self.account.sign_in()
        if number and self.gateway.webhook and number.sms_url != self.gateway.webhook:
            if number.is_free:
                form = {"SmsUrl": self.gateway.webhook, "SmsMethod": "POST"}
                await self.account.ask("POST", self.account.path(f"IncomingPhoneNumbers/{number.sid}.json"), form=form)
            else:
                # It serves something else already: that is not ours to take, and polls bring the messages as well.
                self.log.warning("twilio.webhook_elsewhere", number=self.gateway.phone)
        self.introduce(self.account.identity(number))
