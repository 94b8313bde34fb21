"""The contract's driver for Telegram, with polling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from proto.gateways import Gateway, channel_id
from proto.secrets import Secret
from tests.emulators.front import Answer, Front, told
from tests.emulators.telegram import TelegramEmulator
from tests.worker.gateways.channel import Channel, OpenGateway
from tests.worker.gateways.contract.provider import Case, Fate, Person, Provider, Standing, within
from worker.gateways.telegram.gateway import TelegramGateway, Timing

TIMING: Final = Timing(poll=1.0, conflict=0.05, shortest=0.02, longest=0.1, album=0.1, draft=0.02)


class Telegram(Provider):
    """One bot, open to everybody."""

    name = "Telegram"
    first = r"/getMe$"
    listening = r"/getUpdates$"
    sending = r"/sendMessage$"
    fetching = r"GET /file/bot"
    fates: ClassVar[Mapping[Case, Fate]] = {
        "403": Fate(
            permanent=True,
            blocked=True,
            rule="403 is for a person who blocked the bot, never wrote to it or is gone, and for a chat that it left: "
            "https://core.telegram.org/api/errors#403-forbidden",
        )
    }
    standings: ClassVar[Mapping[Case, Standing]] = {
        "409": Standing(
            "degraded",
            "config",
            "409 says that another program polls, which a person has to end: "
            "https://core.telegram.org/bots/api#getupdates",
        )
    }
    largest = 50 * 2**20

    def __init__(self, emulator: TelegramEmulator, front: Front) -> None:
        self._telegram = emulator
        self._bot = emulator.bot()
        super().__init__(front)

    def people(self) -> tuple[Person, Person]:
        ann, bob = (self._telegram.user(number) for number in (1001, 1002))
        self._bot.met |= {ann.id, bob.id}
        return Person(str(ann.id), str(ann.id)), Person(str(bob.id), str(bob.id))

    def secrets(self) -> list[str]:
        return [self._bot.token, self._bot.token.partition(":")[2]]

    def gateway(self, limits: Mapping[str, float]) -> OpenGateway:
        token = self._bot.token
        gateway = Gateway(channel_id("telegram", token), "telegram", Secret(token), open=True)
        timing = within(TIMING, limits)
        return lambda media, link, log: TelegramGateway(gateway, self.front.url, media, link, log, timing)

    def refusal(self, status: int, retry_after: int | None = None) -> Answer:
        descriptions = {
            401: "Unauthorized",
            403: "Forbidden: user is deactivated",
            409: "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
            429: f"Too Many Requests: retry after {retry_after}" if retry_after else "Too Many Requests",
            500: "Internal Server Error",
        }
        body = {"ok": False, "error_code": status, "description": descriptions[status]}
        return told(status, body | ({"parameters": {"retry_after": retry_after}} if retry_after else {}))

    def says(self, channel: Channel, person: Person, text: str) -> None:
        self._telegram.user(int(person.account)).write(text)

    def shows(self, channel: Channel, person: Person, data: bytes, size: int | None = None) -> None:
        self._telegram.user(int(person.account)).send("document", data, name="cat.png", size=size)

    def sent(self, person: Person) -> list[str]:
        messages = self._telegram.sent(int(person.chat))
        return [message.get("text") or message.get("caption") or "" for message in messages]

    def block(self, person: Person) -> None:
        self._telegram.user(int(person.account)).block()

    def revoke(self) -> None:
        self._telegram.revoke(self._bot)

    async def forget_the_past(self, channel: Channel) -> None:
        """After a quiet week Telegram continues with a random update id, here a smaller one.

        https://core.telegram.org/bots/api#update
        """
        await self._telegram.until(lambda: not self._bot.updates.pending, what="the last poll to be confirmed")
        self._bot.updates.jump(1000)
