"""Meta's Graph API for WhatsApp: the number, its media, and what the error codes mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from proto.gateways import ErrorClass
from proto.secrets import Secret
from worker.gateways.common.fetching import Hosts
from worker.gateways.common.rest import DEFAULT_WAIT, WAIT, Refusal, Rest, Trouble, passing, understood
from worker.gateways.common.sending import Fate

PROVIDER: Final = "WhatsApp"
VERSION: Final = "/v23.0"
FIELDS: Final = "display_phone_number,verified_name,quality_rating,code_verification_status"
NEEDED: Final = ("access_token", "phone_number_id", "app_secret", "verify_token")

TOKEN: Final = frozenset({0, 190})
PERMISSION: Final = frozenset({3, 10, 131005, *range(200, 300)})
NUMBER: Final = frozenset({33, 131031, 131037, 131042, 131045, 133010})
THROTTLE: Final = frozenset({4, 80007, 130429, 131048, 131057, 133016, 2})
PAIR: Final = 131056
UNKNOWN_ID: Final = 100
GONE: Final = 33
PERSON: Final[Mapping[int, str]] = {
    131021: "The person's number is the channel's own.",
    131026: "The person's number is not on WhatsApp, or takes no messages from businesses.",
    131030: "The person's number is not on the test number's list of recipients: add it in Meta's dashboard.",
    131047: "The person's last message is over 24 hours old: WhatsApp takes templates only until they write again.",
    131049: "WhatsApp chose not to deliver this to the person.",
    131050: "The person does not want such messages.",
    130403: "WhatsApp does not deliver to the person.",
    130472: "WhatsApp chose not to deliver this to the person.",
    130497: "WhatsApp does not deliver to the person's country.",
    368: "WhatsApp has blocked this number for a breach of its policy.",
}
BLOCKED: Final = frozenset({131047, 131050})
"""Nothing for this person will be taken until they write again."""

TOKEN_HINT: Final = (
    "Tokens of Meta's dashboard end after a day: make a system user's token that does not expire (Meta business "
    "settings, System users, permission whatsapp_business_messaging), put it into the account's file and restart "
    "personad."
)
PERMISSION_HINT: Final = (
    "Give the token's system user the permission whatsapp_business_messaging and the WhatsApp account as an asset."
)
NUMBER_HINT: Final = (
    "Look at the number in Meta's WhatsApp manager: it must be registered and its id that of the account."
)
WEBHOOK_HINT: Final = (
    "WhatsApp's words come by webhooks only: set hooks.public_url (PERSONAD_HOOKS_PUBLIC_URL) to an address with HTTPS "
    "that leads to the hooks listener, and enter the channel's webhook in Meta's dashboard."
)


class Number(msgspec.Struct):
    """What Meta says of a number."""

    display_phone_number: str = ""
    verified_name: str = ""

    @property
    def digits(self) -> str:
        """The number as digits."""
        return "".join(character for character in self.display_phone_number if character.isdigit())


class Media(msgspec.Struct):
    """Where a file is, for five minutes."""

    url: str
    mime_type: str = ""
    file_size: int | None = None


class Meta(Rest):
    """One number of WhatsApp's."""

    def __init__(self, url: str, credentials: Mapping[str, Secret]) -> None:
        """``credentials`` are named as ``proto/README.md`` has them."""
        self.number_id = credentials["phone_number_id"].reveal() if "phone_number_id" in credentials else ""
        super().__init__(url, headers(credentials), _read_error)

    async def number(self) -> Number:
        """The number; shows that the token is good for it."""
        try:
            answer = await self.ask("GET", f"{VERSION}/{self.number_id}", params={"fields": FIELDS})
        except Refusal as error:
            # An id that is nobody's is a wrong parameter to Meta; a number that is gone has a code of its own.
            raise error if error.code != UNKNOWN_ID else Refusal(error.status, GONE, error.message) from None
        return understood(answer, Number)

    async def media(self, media_id: str) -> Media:
        """Where a file is."""
        params = {"phone_number_id": self.number_id}
        return understood(await self.ask("GET", f"{VERSION}/{media_id}", params=params), Media)


def headers(credentials: Mapping[str, Secret]) -> dict[str, str]:
    """The bearer token."""
    token = credentials["access_token"].reveal() if "access_token" in credentials else ""
    return {"Authorization": f"Bearer {token}", "Accept": "application/json"}


def hosts(url: str) -> Hosts:
    """Where Meta keeps the files of messages; its file server wants the token, too."""
    return Hosts(url, ("fbsbx.com", "facebook.com", "whatsapp.net", "fbcdn.net"), ("lookaside.fbsbx.com",))


def missing(credentials: Mapping[str, Secret]) -> Trouble | None:
    """What this channel lacks before anything can be asked."""
    lacking = [name.replace("_", " ") for name in NEEDED if name not in credentials]
    if lacking:
        told = f"The channel's WhatsApp account has no {' and no '.join(lacking)}."
        return Trouble("config", told, "Write it below the account in the settings, and restart personad.")
    return None


class _Details(msgspec.Struct):
    details: str = ""


class _Inner(msgspec.Struct):
    code: int | None = None
    message: str = ""
    error_data: _Details | None = None


class _Error(msgspec.Struct):
    error: _Inner


def _read_error(body: bytes) -> tuple[int | None, str]:
    found = msgspec.json.decode(body, type=_Error).error
    return found.code, (found.error_data.details if found.error_data else "") or found.message


def trouble(error: Exception) -> Trouble:
    """Put an error into words."""
    match error:
        case Refusal() if error.status == 401 or error.code in TOKEN:
            return Trouble(
                "credential", f"WhatsApp refuses the access token ({error.code}): {error.message}", TOKEN_HINT
            )
        case Refusal(code=int(code)) if code in PERMISSION:
            return Trouble("config", f"The access token may not do this ({code}): {error.message}", PERMISSION_HINT)
        case Refusal(code=int(code)) if code in NUMBER:
            return Trouble("config", f"WhatsApp refuses the number ({code}): {error.message}", NUMBER_HINT)
        case Refusal(code=int(code)) if code in THROTTLE or error.status == 429:
            seconds = error.retry_after or DEFAULT_WAIT
            return Trouble("throttle", f"WhatsApp asks to wait {seconds:g} s ({code}).", WAIT, seconds)
        case _:
            return passing(PROVIDER, error)


def told(code: int | None, message: str = "") -> str:
    """Why a message did not reach a person, in words."""
    words = PERSON.get(code or 0) or message or "The message was not delivered."
    return f"{words} (WhatsApp {code})" if code else words


def kind_of(code: int | None) -> ErrorClass:
    """Of what kind an error code is that came with one message."""
    if code in TOKEN:
        return "credential"
    if code in PERMISSION or code in NUMBER:
        return "config"
    return "throttle" if code in THROTTLE else "recipient"


def fate(error: Exception) -> Fate:
    """What a refused send means."""
    code = error.code if isinstance(error, Refusal) else None
    if code in PERSON:
        return Fate(Trouble("recipient", told(code), ""), permanent=True, blocked=code in BLOCKED)
    found = trouble(error)
    status = error.status if isinstance(error, Refusal) else 0
    return Fate(found, permanent=found.kind == "transient" and 400 <= status < 500 and status != 408)
