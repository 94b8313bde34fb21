"""A WhatsApp number in Meta's Graph API: its identity, its media, and what the error codes mean.

https://developers.facebook.com/docs/whatsapp/cloud-api/reference
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from proto.gateways import ErrorClass, Gateway
from proto.secrets import Secret
from worker.gateways.common.account import REQUEST_TIMEOUT, Identity, Located
from worker.gateways.common.attachments import Attachment
from worker.gateways.common.reading import fitted, parsed
from worker.gateways.common.rest import ErrorBody, Rest, understood
from worker.gateways.common.trouble import DEFAULT_WAIT, WAIT, Fate, Refusal, Trouble, TroubleError, passing

VERSION: Final = "/v23.0"
FIELDS: Final = "display_phone_number,verified_name,quality_rating,code_verification_status"
NEEDED: Final = ("access_token", "phone_number_id", "app_secret", "verify_token")

TOKEN: Final = frozenset({0, 190})
PERMISSION: Final = frozenset({3, 10, 131005, *range(200, 300)})
NUMBER: Final = frozenset({33, 131031, 131037, 131042, 131045, 133010})
THROTTLE: Final = frozenset({4, 17, 32, 341, 613, 80007, 130429, 131048, 131057, 133016, 2})
"""Codes that ask to wait (https://developers.facebook.com/docs/graph-api/overview/rate-limiting#error-codes)."""

UNSENDABLE: Final = frozenset({100, 131008, 131009, 131051})
"""Codes that concern this message and will always be the same."""
PAIR: Final = 131056
UNKNOWN_ID: Final = 100
GONE: Final = 33
PERSON: Final[Mapping[int, str]] = {
    131021: "The person's number is the channel's own.",
    131026: "The person's number is not on WhatsApp, or does not accept messages from businesses.",
    131030: "The person's number is not on the test number's list of recipients: add it in Meta's dashboard.",
    131047: "The person's last message is over 24 hours old: WhatsApp takes only templates until they write again.",
    131049: "WhatsApp chose not to deliver this to the person.",
    131050: "The person does not want such messages.",
    130403: "WhatsApp does not deliver to the person.",
    130472: "WhatsApp chose not to deliver this to the person.",
    130497: "WhatsApp does not deliver to the person's country.",
    368: "WhatsApp has blocked this number for a breach of its policy.",
}
BLOCKED: Final = frozenset({131047, 131050})
"""Codes after which nothing for this person will be taken until they write again."""

TOKEN_HINT: Final = (
    "Tokens from Meta's dashboard expire after a day: create a system user's token that does not expire (Meta business "
    "settings, System users, permission whatsapp_business_messaging), put it into the account's file."
)
PERMISSION_HINT: Final = (
    "Give the token's system user the permission whatsapp_business_messaging and the WhatsApp account as an asset."
)
NUMBER_HINT: Final = (
    "Check the number in Meta's WhatsApp manager: it must be registered, and its id must be the account's "
    "phone_number_id."
)
WEBHOOK_HINT: Final = (
    "WhatsApp delivers messages by webhook only: set hooks.public_url (PERSONAD_HOOKS_PUBLIC_URL) to an HTTPS address "
    "that leads to the webhook listener, and enter the channel's webhook in Meta's dashboard."
)


class Number(msgspec.Struct):
    """What Meta returns for a number."""

    display_phone_number: str = ""
    verified_name: str = ""

    @property
    def digits(self) -> str:
        """The number's digits."""
        return "".join(character for character in self.display_phone_number if character.isdigit())


class Media(msgspec.Struct):
    """Where a file is; the URL is valid for five minutes
    (https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media)."""

    url: str
    mime_type: str = ""
    file_size: int | None = None


class Meta(Rest):
    """One WhatsApp number. ``proto/README.md`` lists the names of the credentials."""

    provider = "WhatsApp"
    # Meta's file server requires the token too
    # (https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media#download-media).
    file_suffixes = ("fbsbx.com", "facebook.com", "whatsapp.net", "fbcdn.net")
    trusted_suffixes = ("lookaside.fbsbx.com",)

    def __init__(self, gateway: Gateway, url: str, request_timeout: float = REQUEST_TIMEOUT) -> None:
        token = gateway.credentials.get("access_token", Secret("")).reveal()
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        super().__init__(gateway, url, headers, request_timeout)
        self.number_id = gateway.credentials.get("phone_number_id", Secret("")).reveal()
        self._credentials = gateway.credentials
        self._phone = gateway.phone

    def unusable(self) -> Trouble | None:
        lacking = [name.replace("_", " ") for name in NEEDED if name not in self._credentials]
        if lacking:
            reason = f"The channel's WhatsApp account has no {' and no '.join(lacking)}."
            return Trouble("config", reason, "Add it to the account in the settings.")
        return None

    async def whoami(self) -> Identity:
        """Ask for the number, which shows that the token may use it and that it is the channel's."""
        try:
            answer = await self.ask("GET", f"{VERSION}/{self.number_id}", params={"fields": FIELDS})
        except Refusal as error:
            # For an unknown id Meta reports a wrong parameter; here it means the same as the code for a missing number.
            raise error if error.code != UNKNOWN_ID else Refusal(error.status, GONE, error.message) from None
        number = understood(answer, Number)
        if self._phone and number.digits != self._phone.removeprefix("+"):
            reason = f"The account's phone_number_id belongs to {number.display_phone_number}, not {self._phone}."
            raise TroubleError(Trouble("config", reason, NUMBER_HINT))
        return Identity(number.digits, number.verified_name or number.display_phone_number)

    async def locate(self, file: Attachment) -> Located:
        params = {"phone_number_id": self.number_id}
        media = understood(await self.ask("GET", f"{VERSION}/{file.source}", params=params), Media)
        return Located(media.url, media.file_size)

    def classify(self, error: Exception) -> Trouble:
        """Say what an error means (https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes)."""
        match error:
            case Refusal(code=int(code)) if code in PERSON:
                return Trouble("recipient", undelivered(code), fate="blocked" if code in BLOCKED else "never")
            case Refusal() if error.status == 401 or error.code in TOKEN:
                reason = f"WhatsApp refuses the access token ({error.code}): {error.message}"
                return Trouble("credential", reason, TOKEN_HINT)
            case Refusal(code=int(code)) if code in PERMISSION:
                return Trouble("config", f"The access token may not do this ({code}): {error.message}", PERMISSION_HINT)
            case Refusal(code=int(code)) if code in NUMBER:
                return Trouble("config", f"WhatsApp refuses the number ({code}): {error.message}", NUMBER_HINT)
            case Refusal(status=status, code=code) if status == 429 or code in THROTTLE:
                seconds = error.retry_after or DEFAULT_WAIT
                doubt: Fate = "perhaps" if status >= 500 else "again"
                return Trouble("throttle", f"WhatsApp asks us to wait {seconds:g} s ({code}).", WAIT, seconds, doubt)
            case Refusal(status=status, code=int(code)) if status < 500 and code not in UNSENDABLE:
                # Meta answers 400 also for faults of its own, such as code 1, "unknown error".
                return passing(self.provider, error)._replace(fate="unclear")
            case _:
                return passing(self.provider, error)

    def read_error(self, body: bytes) -> ErrorBody:
        found = fitted(parsed(body), _Error).error
        return ErrorBody(found.code, (found.error_data.details if found.error_data else "") or found.message)


class _Details(msgspec.Struct):
    details: str = ""


class _Inner(msgspec.Struct):
    code: int | None = None
    message: str = ""
    error_data: _Details | None = None


class _Error(msgspec.Struct):
    error: _Inner


def undelivered(code: int | None, message: str = "") -> str:
    """Say why a message did not reach the person."""
    reason = PERSON.get(code or 0) or message or "The message was not delivered."
    return f"{reason} (WhatsApp {code})" if code else reason


def class_of(code: int | None) -> ErrorClass:
    """Return the error class of a code that concerns one message."""
    if code in TOKEN:
        return "credential"
    if code in PERMISSION or code in NUMBER:
        return "config"
    return "throttle" if code in THROTTLE else "recipient"
