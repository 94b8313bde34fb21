"""A Twilio account: the REST API, its addresses, and what its error codes mean.

https://www.twilio.com/docs/usage/api
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from proto.gateways import ErrorClass, Gateway, GatewayType
from proto.secrets import Secret
from worker.gateways.common.account import REQUEST_TIMEOUT, Identity
from worker.gateways.common.reading import LATEST, fitted, parsed
from worker.gateways.common.rest import ErrorBody, Rest, understood
from worker.gateways.common.trouble import DEFAULT_WAIT, WAIT, Refusal, Trouble, TroubleError, passing

VERSION: Final = "/2010-04-01"
SHORT_CODE: Final = 6
"""Digits that a short code has at most; it is written without a plus."""

NEEDED: Final = ("account_sid", "auth_token")

_DIGITS: Final = re.compile(r"\+?([0-9]{3,15})\Z")
_PLACEHOLDERS: Final = ("https://demo.twilio.com/", "http://demo.twilio.com/")
"""The webhook that Twilio sets for a new number."""

CREDENTIAL: Final = frozenset({20003, 20005, 20006, 20008, 10001, 30002})
CONFIG: Final[Mapping[int, str]] = {
    21212: "Give the channel a number of this Twilio account, in E.164.",
    21603: "Give the channel a number of this Twilio account, in E.164.",
    21606: "Choose a number that can send text messages (Twilio console, Phone Numbers, Capabilities).",
    21659: "Choose a number that this Twilio account owns.",
    21660: "Choose a number that this Twilio account owns.",
    21701: "Correct the account's messaging_service_sid.",
    21703: "Add the number to the messaging service's sender pool.",
    30034: "Register the number for A2P 10DLC in Twilio's console.",
    63007: "Connect the number to WhatsApp in Twilio's console (Messaging, Senders), or use the sandbox's number.",
}
THROTTLE: Final = frozenset({14107, 20429, 21611, 30001, 30022, 63018})
PERSON: Final[Mapping[int, str]] = {
    21211: "Twilio does not accept the person's number.",
    21217: "Twilio does not accept the person's number.",
    21265: "A short code does not receive messages from this number.",
    21408: "This Twilio account may not send to the person's country: allow it in Messaging, Geo permissions.",
    21608: "A trial account of Twilio sends to verified numbers only: verify the person's number, or upgrade.",
    21610: "The person opted out with STOP.",
    21612: "Twilio cannot reach the person's number from this one.",
    21614: "The person's number cannot receive text messages.",
    30003: "The person's phone cannot be reached.",
    30004: "The person's phone or network blocks the message.",
    30005: "The person's number does not exist.",
    30006: "The person's number cannot receive text messages.",
    30007: "The network filtered the message out.",
    63003: "The person's number is not on WhatsApp.",
    63016: "The person's last message is over 24 hours old: WhatsApp takes only templates until they write again.",
    63024: "The person's number is not on WhatsApp.",
    63032: "WhatsApp currently limits what this person may be sent.",
    63049: "WhatsApp chose not to deliver this to the person.",
}
BLOCKED: Final = frozenset({21610, 63016})
"""Codes after which nothing for this person will be taken until they write again."""

CREDENTIAL_HINT: Final = (
    "Look in Twilio's console: the account must be active, and the account SID and the auth token (or the API key) "
    "must belong to it. Correct the account in the settings or the files that it names."
)
NUMBER_HINT: Final = "Give the channel a number that this Twilio account owns and that can send text messages."


def digits(address: str) -> str:
    """Return the account id of an address like ``whatsapp:+15551234567``; "" if the sender is not a number."""
    found = _DIGITS.match(address.removeprefix("whatsapp:"))
    return found[1] if found else ""


def address_of(kind: GatewayType, number: str) -> str:
    """Return a number, given as digits or in E.164, as an address of Twilio's API."""
    bare = number.removeprefix("+")
    if kind == "whatsapp":
        return f"whatsapp:+{bare}"
    return bare if len(bare) <= SHORT_CODE else f"+{bare}"


def moment(text: str | None) -> int:
    """Return one of Twilio's dates (RFC 2822) in epoch seconds; 0 if there is none that can be true."""
    try:
        seconds = int(parsedate_to_datetime(text or "").timestamp())
    except (ValueError, OverflowError):
        return 0
    return seconds if 0 <= seconds < LATEST else 0


def _headers(credentials: Mapping[str, Secret]) -> dict[str, str]:
    """Return headers for basic authentication with the API key if there is one, else with the auth token.

    https://www.twilio.com/docs/usage/requests-to-twilio
    """
    names = ("api_key_sid", "api_key_secret") if "api_key_sid" in credentials else ("account_sid", "auth_token")
    user, password = (credentials[name].reveal() if name in credentials else "" for name in names)
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {pair}", "Accept": "application/json"}


class Twilio(Rest):
    """One Twilio account and the number of a channel. ``proto/README.md`` lists the names of the credentials."""

    provider = "Twilio"
    file_suffixes = ("twilio.com", "twiliocdn.com", "s3-external-1.amazonaws.com")
    trusted_suffixes = ("twilio.com",)

    def __init__(self, gateway: Gateway, url: str, request_timeout: float = REQUEST_TIMEOUT) -> None:
        super().__init__(gateway, url, _headers(gateway.credentials), request_timeout)
        self._credentials = gateway.credentials
        self._kind = gateway.type
        self._phone = gateway.phone
        self._sid = gateway.credentials.get("account_sid", Secret("")).reveal()

    def path(self, resource: str) -> str:
        """Return the path of one of the account's resources, such as ``Messages.json``."""
        return f"{VERSION}/Accounts/{self._sid}/{resource}"

    def unusable(self) -> Trouble | None:
        lacking = [name.replace("_", " ") for name in NEEDED if name not in self._credentials]
        if lacking:
            reason = f"The channel's Twilio account has no {' and no '.join(lacking)}."
            return Trouble("config", reason, CREDENTIAL_HINT)
        if not digits(self._phone):
            return Trouble("config", "The channel has no phone number of its own.", NUMBER_HINT)
        return None

    async def whoami(self) -> Identity:
        return self.identity(await self.sign_in())

    def identity(self, number: Number | None) -> Identity:
        """Return who she is with this number; ``number`` is None if Twilio does not list it."""
        return Identity(digits(self._phone), (number.friendly_name if number else "") or self._phone)

    async def sign_in(self) -> Number | None:
        """Check that the account is active and owns the number; returns the number if Twilio lists it.

        A WhatsApp sender need not be a Twilio number, so the number is looked up for SMS only. Raises what
        PROVIDER_ERRORS lists.
        """
        by_key = "api_key_sid" in self._credentials
        if not by_key:
            account = await self.ask("GET", f"{VERSION}/Accounts/{self._sid}.json")
            if (status := account.get("status") if isinstance(account, dict) else "") != "active":
                raise TroubleError(Trouble("credential", f"The Twilio account is {status}.", CREDENTIAL_HINT))
        if self._kind != "sms":
            if by_key:
                await self.ask("GET", self.path("Messages.json"), params={"PageSize": "1"})
            return None
        phone = self._phone
        page = await self.ask("GET", self.path("IncomingPhoneNumbers.json"), params={"PhoneNumber": phone})
        found = understood(page, Numbers).incoming_phone_numbers
        number = next((one for one in found if one.phone_number == phone), None)
        if number is None and len(phone.removeprefix("+")) > SHORT_CODE:
            raise TroubleError(Trouble("config", f"This Twilio account does not own {phone}.", NUMBER_HINT))
        if number and not number.sends_texts:
            raise TroubleError(Trouble("config", f"{phone} cannot send text messages.", NUMBER_HINT))
        return number

    def classify(self, error: Exception) -> Trouble:
        """Say what an error means (https://www.twilio.com/docs/api/errors)."""
        match error:
            case Refusal(code=int(code)) if code in PERSON:
                return Trouble("recipient", undelivered(code), fate="blocked" if code in BLOCKED else "never")
            case Refusal(status=status, code=code) if status == 429 or code in THROTTLE:
                seconds = error.retry_after or DEFAULT_WAIT
                return Trouble("throttle", f"Twilio asks us to wait {seconds:g} s ({code}).", WAIT, seconds)
            case Refusal(status=status, code=code) if status == 401 or code in CREDENTIAL:
                reason = f"Twilio refuses the account's credentials ({code or status}): {error.message}"
                return Trouble("credential", reason, CREDENTIAL_HINT)
            case Refusal(code=int(code)) if code in CONFIG:
                return Trouble("config", f"Twilio refused ({code}): {error.message}", CONFIG[code])
            case _:
                return passing(self.provider, error)

    def read_error(self, body: bytes) -> ErrorBody:
        found = fitted(parsed(body), _Error)
        return ErrorBody(found.code, found.message)


class Number(msgspec.Struct):
    """A phone number of the account
    (https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource)."""

    sid: str
    phone_number: str
    friendly_name: str = ""
    capabilities: dict[str, bool] = {}
    sms_url: str | None = ""

    @property
    def sends_texts(self) -> bool:
        """Whether the number can send text messages. Twilio has used both spellings of this capability."""
        return self.capabilities.get("sms", self.capabilities.get("SMS", False))

    @property
    def is_free(self) -> bool:
        """Whether no webhook is set for the number yet."""
        return not self.sms_url or self.sms_url.startswith(_PLACEHOLDERS)


class Numbers(msgspec.Struct):
    """One page of the account's phone numbers."""

    incoming_phone_numbers: list[Number] = []


class _Error(msgspec.Struct):
    code: int | None = None
    message: str = ""


def class_of(code: int | None) -> ErrorClass:
    """Return the error class of a code that concerns one message."""
    if code in CREDENTIAL:
        return "credential"
    if code in CONFIG:
        return "config"
    if code in THROTTLE:
        return "throttle"
    return "recipient"


def undelivered(code: int | None, message: str = "") -> str:
    """Say why a message did not reach the person."""
    reason = PERSON.get(code or 0) or message or "The message was not delivered."
    return f"{reason} (Twilio {code})" if code else reason
