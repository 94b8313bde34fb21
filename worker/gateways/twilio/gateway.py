"""SMS and WhatsApp through Twilio: by webhooks where there is a public address, and by polls of the list of messages.

Polls go on beside webhooks, seldom: Twilio repeats a webhook that failed only once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from proto.gateways import Gateway, Inbound, WebhookRequest
from worker.base.log import WorkerLog
from worker.gateways import GatewayLink
from worker.gateways.common.budget import Budget, Pace
from worker.gateways.common.fetching import Fetcher
from worker.gateways.common.gateway import MAX_ITEMS, Timing, WebhookedGateway
from worker.gateways.common.media import prefix
from worker.gateways.common.rest import Trouble
from worker.gateways.twilio.api import PROVIDER, Twilio, digits, headers, hosts, trouble
from worker.gateways.twilio.inbound import Letter, Opting, form_of, letter, opting, receipt, settle
from worker.gateways.twilio.outbound import TwilioSender
from worker.gateways.twilio.poll import Poller

CHAT_PACE: Final = Pace(rate=1.0, burst=3.0)
NUMBER_PACE: Final = Pace(rate=50.0, burst=50.0)
"""Twilio queues what is quicker than the number may be; one person should not get too much at once."""

LIVELY: Final = 300.0
"""Seconds after the last words in which polls are frequent."""


class TwilioGateway(WebhookedGateway):
    """One number of a persona's."""

    def __init__(
        self, gateway: Gateway, url: str, media: Path, link: GatewayLink, log: WorkerLog, timing: Timing | None = None
    ) -> None:
        self._twilio = Twilio(url, gateway.credentials)
        budget = Budget(CHAT_PACE, NUMBER_PACE, asyncio.get_running_loop().time)
        self._sends = TwilioSender(gateway, self._twilio, budget, link.send, self.stop, log)
        self._sends.callback = gateway.webhook
        super().__init__(gateway, self._twilio, self._sends, link, log, timing or Timing())
        self._files = Fetcher(PROVIDER, lambda: self._twilio.client, headers(gateway.credentials), hosts(url), media)
        self._prefix = prefix(gateway)
        self._poller = Poller(gateway, self._twilio, log)
        self._is_called = False
        self._lively_until = 0.0

    def unusable(self) -> Trouble | None:
        return self._twilio.missing(self.gateway.credentials, self.gateway.phone)

    def trouble(self, error: Exception) -> Trouble:
        return trouble(error)

    async def exchange(self) -> float:
        """Poll; the first time, see that the number is ours, and have Twilio call us if it may."""
        if not self.identity[0]:
            await self._sign_in()
        rows = await self._poller.news()
        self.up()
        polled = [one for row in rows if (one := await self._poller.letter(row))]
        found = [one for one in polled if not self._is_not_for_her(one)]
        for start in range(0, len(found), MAX_ITEMS):
            await self.commit(await self._settled(found[start : start + MAX_ITEMS]))
        self._poller.read(rows)
        if self._sends.unsettled:
            for failed in await self._poller.receipts(self.channel, self._sends.unsettled):
                self.link.send(failed)
        if self._is_called:
            return self.timing.check
        lively = asyncio.get_running_loop().time() < self._lively_until
        return self.timing.poll if lively else self.timing.idle

    async def read(self, webhooks: Sequence[WebhookRequest]) -> list[Inbound]:
        """The messages in these requests; what became of hers is reported at once."""
        letters = []
        for webhook in webhooks:
            try:
                form = form_of(webhook.body)
                found = None if "MessageStatus" in form else self._letter(form)
            except ValueError as error:
                self.log.error("twilio.unreadable", hook=webhook.number, reason=type(error).__name__)
                continue
            if failed := receipt(self.channel, form):
                self.link.send(failed)
            if found:
                self._is_called = True
                letters.append(found)
        return await self._settled(letters)

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
        """Her own words; or STOP, START, HELP, which Twilio answers: who says STOP hears nothing more until START."""
        inbound = found.inbound
        if inbound.account == digits(self.gateway.phone):
            return True
        match opting(self.gateway.type, inbound.account, inbound.content, told):
            case Opting(account, out):
                (self._sends.opted_out.add if out else self._sends.opted_out.discard)(account)
                self.log.info("twilio.opting", message=inbound.key, out=out)
                return True
            case "":
                return False
        return True

    async def _settled(self, letters: Sequence[Letter]) -> list[Inbound]:
        """These messages with their files."""
        done = await asyncio.gather(*(self._with_files(one) for one in letters))
        return [item for items in done for item in items]

    async def _with_files(self, one: Letter) -> list[Inbound]:
        wants = self.wants_files_of(one.inbound.account)
        return await settle(one, self._files if wants else None, self._prefix)

    async def _sign_in(self) -> None:
        number = await self._twilio.sign_in(self.gateway.type, self.gateway.phone)
        if number and self.gateway.webhook and number.sms_url != self.gateway.webhook:
            if number.is_free:
                form = {"SmsUrl": self.gateway.webhook, "SmsMethod": "POST"}
                await self._twilio.ask("POST", self._twilio.path(f"IncomingPhoneNumbers/{number.sid}.json"), form=form)
            else:
                # It serves something else already: that is not ours to take, and polls bring the words as well.
                self.log.warning("twilio.webhook_elsewhere", number=self.gateway.phone)
        self.identity = (digits(self.gateway.phone), number.friendly_name if number else self.gateway.phone)
