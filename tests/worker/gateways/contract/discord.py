"""The contract's driver for Discord, over its gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from proto.gateways import Gateway, channel_id
from proto.secrets import Secret
from tests.emulators.discord import DiscordEmulator, Upload
from tests.emulators.front import Answer, Front, told
from tests.worker.gateways.channel import Channel, OpenGateway
from tests.worker.gateways.contract.provider import Person, Provider, within
from worker.gateways.discord.connection import Timing
from worker.gateways.discord.gateway import DiscordGateway

TIMING: Final = Timing(shortest=0.02, longest=0.1, stable=0.5, connect=60.0, silence=60.0, invalid=0.05)
HISTORY: Final = r"GET /api/v10/channels/\d+/messages$"


class Discord(Provider):
    """One bot, paired with the first person."""

    name = "Discord"
    first = r"GET /api/v10/users/@me$"
    listening = r"GET /api/v10/gateway$"
    sending = r"POST /api/v10/channels/\d+/messages$"
    fetching = r"GET /attachments/"
    largest = 10 * 2**20
    """https://discord.com/developers/docs/reference#uploading-files"""

    def __init__(self, emulator: DiscordEmulator, front: Front) -> None:
        self._discord = emulator
        emulator.configure(files=front.url)
        self._before = emulator.say("before the gateway was opened")
        super().__init__(front)

    def people(self) -> tuple[Person, Person]:
        ann, bob = self._discord.person, self._discord.add_user("bob")
        return Person(str(ann.id), str(self._discord.channel_id)), Person(str(bob.id), str(self._discord.dm(bob)))

    def secrets(self) -> list[str]:
        return [self._discord.token]

    def gateway(self, limits: Mapping[str, float]) -> OpenGateway:
        token = self._discord.token
        gateway = Gateway(
            channel_id("discord", token), "discord", Secret(token), *self.ann, last_key=str(self._before.id)
        )
        timing = within(TIMING, limits)
        return lambda media, link, log: DiscordGateway(gateway, f"{self.front.url}/api/v10", media, link, log, timing)

    def refusal(self, status: int, retry_after: int | None = None) -> Answer:
        match status:
            case 401:
                return told(401, {"message": "401: Unauthorized", "code": 0}, Via="1.1 google")
            case 403:
                return told(403, {"message": "Missing Access", "code": 50001}, Via="1.1 google")
            case 429 if not retry_after:
                return Answer(429, b"error code: 1015", {"Content-Type": "text/plain", "Server": "cloudflare"})
            case 429 if retry_after:
                body = {"message": "You are being rate limited.", "retry_after": float(retry_after), "global": False}
                return told(429, body, Via="1.1 google", Retry_After=str(retry_after), X_RateLimit_Scope="user")
            case _:
                return told(status, {"message": f"{status}: Made to fail", "code": 0}, Via="1.1 google")

    def says(self, channel: Channel, person: Person, text: str) -> None:
        self._discord.say(text, channel_id=int(person.chat))

    def shows(self, channel: Channel, person: Person, data: bytes, size: int | None = None) -> None:
        self._discord.say("", Upload("cat.png", data, size=size), channel_id=int(person.chat))

    def sent(self, person: Person) -> list[str]:
        return [message.content for message in self._discord.sent(int(person.chat))]

    def block(self, person: Person) -> None:
        assert person == self.ann
        self._discord.person.accepts_dms = False

    def revoke(self) -> None:
        self._discord.revoke()

    async def forget_the_past(self, channel: Channel) -> None:
        """The history of the paired chat is refused with 10003 Unknown Channel.

        https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
        """
        self.front.fail(HISTORY, told(404, {"message": "Unknown Channel", "code": 10003}))
        before = len(self.front.lines(HISTORY))
        self.interrupt()
        await self.front.until(lambda: len(self.front.lines(HISTORY)) > before)

    def interrupt(self) -> None:
        self._discord.invalidate(resumable=False)

    def sockets(self) -> int:
        return self._discord.gateways()
