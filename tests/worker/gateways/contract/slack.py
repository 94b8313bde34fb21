"""The contract's driver for Slack, over Socket Mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from proto.gateways import Gateway, channel_id
from proto.secrets import Secret
from tests.emulators.front import Answer, Front, told
from tests.emulators.slack import SlackEmulator
from tests.worker.gateways.channel import Channel, OpenGateway
from tests.worker.gateways.contract.provider import Case, Fate, Person, Provider, Standing, within
from worker.gateways.slack.gateway import SlackGateway, Timing

TIMING: Final = Timing(ping=0.2, silence=60.0, check=0.05, shortest=0.02, longest=0.1)
SCOPES: Final = (
    "missing_scope is a permission that only the app's owner can give: "
    "https://docs.slack.dev/reference/methods/chat.postMessage#errors"
)


class Slack(Provider):
    """One app in one workspace."""

    name = "Slack"
    first = r"/api/auth\.test$"
    listening = r"/api/apps\.connections\.open$"
    sending = r"/api/chat\.postMessage$"
    fetching = r"GET /files/"
    fates: ClassVar[Mapping[Case, Fate]] = {"403": Fate(stops="config", rule=SCOPES)}
    standings: ClassVar[Mapping[Case, Standing]] = {"403": Standing("stopped", "config", SCOPES)}
    largest = 50 * 2**20
    """Our own limit; Slack accepts 1 GB."""

    def __init__(self, emulator: SlackEmulator, front: Front) -> None:
        self._slack = emulator
        emulator.files_at = front.url
        super().__init__(front)

    def people(self) -> tuple[Person, Person]:
        ann, bob = (self._slack.person(name) for name in ("Ann", "Bob"))
        return Person(ann, self._slack.direct(ann)), Person(bob, self._slack.direct(bob))

    def secrets(self) -> list[str]:
        return [self._slack.bot_token, self._slack.app_token]

    def gateway(self, limits: Mapping[str, float]) -> OpenGateway:
        token = self._slack.bot_token
        credentials = {"app_token": Secret(self._slack.app_token)}
        gateway = Gateway(channel_id("slack", token), "slack", Secret(token), open=True, credentials=credentials)
        timing = within(TIMING, limits)
        return lambda media, link, log: SlackGateway(gateway, f"{self.front.url}/api/", media, link, log, timing)

    def refusal(self, status: int, retry_after: int | None = None) -> Answer:
        """Slack answers most refusals with 200 and an error code (https://docs.slack.dev/apis/web-api/#responses)."""
        match status:
            case 401:
                return told(200, {"ok": False, "error": "token_revoked"})
            case 403:
                return told(
                    200, {"ok": False, "error": "missing_scope", "needed": "chat:write", "provided": "files:read"}
                )
            case 429:
                wait = {"Retry-After": str(retry_after)} if retry_after else {}
                return told(429, {"ok": False, "error": "ratelimited"}, **wait)
            case _:
                return told(status, {"ok": False, "error": "internal_error" if status >= 500 else "conflict"})

    def says(self, channel: Channel, person: Person, text: str) -> None:
        self._slack.say(person.account, text)

    def shows(self, channel: Channel, person: Person, data: bytes, size: int | None = None) -> None:
        file = self._slack.file("cat.png", data, size)
        self._slack.say(person.account, "", subtype="file_share", files=[file])

    def sent(self, person: Person) -> list[str]:
        return self._slack.texts(person.chat)

    def block(self, person: Person) -> None:
        """Nobody can block an app on Slack; the closest is to remove the app from a conversation."""
        self.front.fail(self.sending, told(200, {"ok": False, "error": "channel_not_found"}), 1)

    def revoke(self) -> None:
        self._slack.refused = "token_revoked"
        self.interrupt()

    async def forget_the_past(self, channel: Channel) -> None:
        """Socket Mode has no history: an event that Slack has given up on never arrives."""
        seen = len(channel.states)
        channel.refusals = 1
        self._slack.say(self.ann.account, "given up on")
        await channel.until(lambda: not channel.refusals)
        self._slack.forget_events()
        self.interrupt()
        await channel.until(lambda: [state.state for state in channel.states[seen:]][-2:] == ["degraded", "connected"])

    def interrupt(self) -> None:
        self._slack.break_sockets()

    def sockets(self) -> int:
        return self._slack.sockets
