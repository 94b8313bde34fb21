"""The contract's driver for SMS through Twilio, with polling."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from proto.gateways import Gateway, channel_id
from proto.secrets import Secret
from tests.emulators.front import Answer, Front, told
from tests.emulators.twilio import TwilioEmulator
from tests.worker.gateways.channel import Channel, OpenGateway
from tests.worker.gateways.contract.provider import Person, Provider, within
from worker.gateways.twilio.gateway import Timing, TwilioGateway

OURS: Final = "+15005550006"
TIMING: Final = Timing(check=30.0, poll=0.05, idle=0.05, shortest=0.02, longest=0.1)
MONTH: Final = 30 * 24 * 3600


class Twilio(Provider):
    """One number for text messages."""

    name = "Twilio"
    first = r"GET /2010-04-01/Accounts/\w+\.json$"
    listening = r"GET /2010-04-01/Accounts/\w+/Messages\.json$"
    sending = r"POST /2010-04-01/Accounts/\w+/Messages\.json$"
    fetching = r"/Media/ME\w+$"
    unsent = None
    """Twilio fetches outbound files from a public URL, and personad has none for them
    (https://www.twilio.com/docs/messaging/api/message-resource, MediaUrl)."""
    largest = 5 * 2**20

    def __init__(self, emulator: TwilioEmulator, front: Front) -> None:
        self._twilio = emulator
        self._token = emulator.token
        super().__init__(front)

    def people(self) -> tuple[Person, Person]:
        return Person("15557654321", "15557654321"), Person("15557654322", "15557654322")

    def secrets(self) -> list[str]:
        return [self._token]

    def gateway(self, limits: Mapping[str, float]) -> OpenGateway:
        gateway = Gateway(
            channel_id("sms", OURS),
            "sms",
            Secret(OURS),
            open=True,
            phone=OURS,
            credentials={"account_sid": Secret(self._twilio.sid), "auth_token": Secret(self._token)},
            since=int((time.time() - 2 * MONTH) * 1e9),
        )
        timing = within(TIMING, limits)
        return lambda media, link, log: TwilioGateway(gateway, self.front.url, media, link, log, timing)

    def refusal(self, status: int, retry_after: int | None = None) -> Answer:
        """Twilio's errors (https://www.twilio.com/docs/usage/twilios-response#response-formats-exceptions)."""
        code = {401: 20003, 429: 20429, 500: 20500}.get(status, 20000 + status)
        body = {"code": code, "message": "Made to fail", "more_info": "", "status": status}
        return told(status, body, **({"Retry-After": str(retry_after)} if retry_after else {}))

    def says(self, channel: Channel, person: Person, text: str) -> None:
        self._twilio.text(f"+{person.account}", OURS, text)

    def shows(self, channel: Channel, person: Person, data: bytes, size: int | None = None) -> None:
        """Twilio does not state a file's size, so ``size`` is the true one."""
        whole = data if size is None else data.ljust(size, b"\0")
        self._twilio.text(f"+{person.account}", OURS, "", ("image/png", whole))

    def sent(self, person: Person) -> list[str]:
        return [message["body"] for message in self._twilio.sent if message["to"] == f"+{person.chat}"]

    def block(self, person: Person) -> None:
        self._twilio.opted_out.add(f"+{person.account}")

    def revoke(self) -> None:
        self._twilio.token = "another one"

    async def forget_the_past(self, channel: Channel) -> None:
        """The list contains a text that is a month old, and another was deleted."""
        self._twilio.text(f"+{self.ann.account}", OURS, "too old", at=time.time() - MONTH)
        self._twilio.messages[:] = [one for one in self._twilio.messages if one["body"] == "too old"]
        polls = len(self.front.lines(self.listening))
        await self.front.until(lambda: len(self.front.lines(self.listening)) > polls + 1)
