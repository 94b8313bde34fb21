"""The contract's driver for WhatsApp over Meta's Cloud API, with webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from proto.gateways import Gateway, channel_id
from proto.secrets import Secret
from tests.emulators.front import Answer, Front, told
from tests.emulators.meta import MetaEmulator
from tests.worker.gateways.channel import Channel, OpenGateway
from tests.worker.gateways.contract.provider import Case, Fate, Person, Provider, Standing, within
from worker.gateways.common.gateway import Timing
from worker.gateways.whatsapp.gateway import MetaGateway

OURS: Final = "+15005550007"
WEBHOOK: Final = "https://hooks.example.org/hooks/0123456789abcdef"
TIMING: Final = Timing(check=0.1, shortest=0.02, longest=0.1)
ERRORS: Final = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes"
PERMISSION: Final = f"403 with code 10 is a permission that was not given or was taken away: {ERRORS}"
CODES: Final = {401: 190, 403: 10, 409: 131009, 429: 130429, 500: 131000}


class WhatsApp(Provider):
    """One number."""

    name = "WhatsApp"
    first = r"GET /v[\d.]+/106540352242922$"
    listening = first
    sending = r"POST /v[\d.]+/\d+/messages$"
    fetching = r"GET /attachments/"
    fates: ClassVar[Mapping[Case, Fate]] = {"403": Fate(stops="config", rule=PERMISSION)}
    standings: ClassVar[Mapping[Case, Standing]] = {"403": Standing("stopped", "config", PERMISSION)}
    largest = 5 * 2**20
    """https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media#supported-media-types"""

    def __init__(self, emulator: MetaEmulator, front: Front) -> None:
        self._meta = emulator
        self._token = emulator.access_token
        emulator.media_host = front.url
        super().__init__(front)

    def people(self) -> tuple[Person, Person]:
        return Person("15557654321", "15557654321"), Person("15557654322", "15557654322")

    def secrets(self) -> list[str]:
        return [self._token, self._meta.app_secret, self._meta.verify_token]

    def gateway(self, limits: Mapping[str, float]) -> OpenGateway:
        credentials = {
            "access_token": self._token,
            "phone_number_id": self._meta.number_id,
            "app_secret": self._meta.app_secret,
            "verify_token": self._meta.verify_token,
        }
        gateway = Gateway(
            channel_id("whatsapp", OURS),
            "whatsapp",
            Secret(OURS),
            open=True,
            phone=OURS,
            credentials={name: Secret(value) for name, value in credentials.items()},
            webhook=WEBHOOK,
        )
        timing = within(TIMING, limits)
        return lambda media, link, log: MetaGateway(gateway, self.front.url, media, link, log, timing)

    def refusal(self, status: int, retry_after: int | None = None) -> Answer:
        code = CODES[status]
        error = {"message": f"(#{code}) Made to fail", "type": "OAuthException", "code": code, "fbtrace_id": "A1"}
        return told(status, {"error": error}, **({"Retry-After": str(retry_after)} if retry_after else {}))

    def says(self, channel: Channel, person: Person, text: str) -> None:
        self._bring(channel, self._meta.message(person.account, body=text))

    def shows(self, channel: Channel, person: Person, data: bytes, size: int | None = None) -> None:
        media = self._meta.add_media("image/png", data)
        if size is not None:
            self._meta.media_sizes[media] = size
        image = {"id": media, "mime_type": "image/png"}
        self._bring(channel, self._meta.message(person.account, "image", image=image))

    def sent(self, person: Person) -> list[str]:
        messages = [message for message in self._meta.sent if message.get("to") == person.chat]
        return [
            message[message["type"]].get("body") or message[message["type"]].get("caption", "") for message in messages
        ]

    def block(self, person: Person) -> None:
        """Meta reports a person who wants no messages with code 131050.

        https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes
        """
        error = {"message": "(#131050) User has stopped messages", "type": "OAuthException", "code": 131050}
        self.front.fail(self.sending, told(400, {"error": error}), 1)

    def revoke(self) -> None:
        self._meta.access_token = "another one"

    async def forget_the_past(self, channel: Channel) -> None:
        """A delayed webhook names a file that WhatsApp has deleted, as it does after 30 days."""
        image = {"id": "404", "mime_type": "image/png"}
        number = self._bring(channel, self._meta.message(self.ann.account, "image", image=image))
        await channel.until(lambda: number in channel.webhooks_done or None)

    def _bring(self, channel: Channel, message: dict[str, object]) -> int:
        return channel.webhook(self._meta.batch(message), "application/json")
