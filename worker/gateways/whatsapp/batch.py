"""The forms of WhatsApp's webhook requests, as far as they are used.

https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/components
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, Final

import msgspec

from worker.gateways.common.reading import Words

MAX_KEY: Final = 120

ACCOUNT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,159}\Z")


class Text(msgspec.Struct):
    body: Words[str] = ""


class File(msgspec.Struct):
    """A file of a message. ``voice`` tells what was recorded in WhatsApp from any other audio file
    (https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/reference/messages/audio)."""

    id: Words[str] = ""
    mime_type: str = ""
    caption: Words[str] = ""
    filename: str = ""
    voice: bool = False
    sha256: str = ""


class Button(msgspec.Struct):
    text: Words[str] = ""


class Chosen(msgspec.Struct):
    title: Words[str] = ""
    description: str = ""


class Form(msgspec.Struct):
    """What a person filled in; ``response_json`` is JSON in text."""

    body: str = ""
    response_json: Words[str] = ""


class Interactive(msgspec.Struct):
    button_reply: Words[Chosen | None] = None
    list_reply: Words[Chosen | None] = None
    nfm_reply: Words[Form | None] = None


class Product(msgspec.Struct):
    product_retailer_id: str = ""
    quantity: int = 1
    item_price: float | None = None
    currency: str = ""


class Order(msgspec.Struct):
    text: Words[str] = ""
    product_items: list[Product] = []


class Location(msgspec.Struct):
    latitude: float | None = None
    longitude: float | None = None
    name: str = ""
    address: str = ""


class ContactName(msgspec.Struct):
    formatted_name: str = ""


class ContactPhone(msgspec.Struct):
    phone: str = ""


class SharedContact(msgspec.Struct):
    name: ContactName = msgspec.field(default_factory=ContactName)
    phones: list[ContactPhone] = []


class Reaction(msgspec.Struct):
    emoji: str = ""


class System(msgspec.Struct):
    type: str = ""
    wa_id: str = ""
    new_wa_id: str = ""


class Context(msgspec.Struct):
    forwarded: bool = False
    frequently_forwarded: bool = False


class Fault(msgspec.Struct):
    code: int | None = None
    title: str = ""
    message: str = ""


class Unsupported(msgspec.Struct):
    """What WhatsApp does not pass on; ``type`` says what it was.

    https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/unsupported
    """

    type: str = ""


class Content(msgspec.Struct):
    """What a message says: its own words, or the new ones of an edit."""

    type: str = "text"
    text: Words[Text | None] = None
    image: Words[File | None] = None
    audio: Words[File | None] = None
    video: Words[File | None] = None
    document: Words[File | None] = None
    sticker: Words[File | None] = None
    button: Words[Button | None] = None
    interactive: Words[Interactive | None] = None
    order: Words[Order | None] = None
    location: Location | None = None
    contacts: list[SharedContact] = []
    reaction: Reaction | None = None
    unsupported: Unsupported | None = None
    context: Context | None = None

    @property
    def file(self) -> File | None:
        """The message's file, if any."""
        return self.image or self.audio or self.video or self.document or self.sticker


class Edit(msgspec.Struct):
    """What an earlier message says now. Only numbers that are also used in the WhatsApp Business app get it.

    https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/edit
    """

    original_message_id: str = ""
    message: Words[Content | None] = None


class Message(Content, kw_only=True):
    """One message. ``from`` is missing if the person shows a user name instead of a number."""

    id: str
    from_: str = msgspec.field(name="from", default="")
    from_user_id: str = ""
    timestamp: str = "0"
    group_id: str = ""
    system: System | None = None
    edit: Words[Edit | None] = None

    @property
    def account(self) -> str:
        """The writer's id: their number without its plus, else the user id that WhatsApp assigns for this business."""
        found = self.from_.removeprefix("+") or self.from_user_id
        return found if ACCOUNT.match(found) else ""

    @property
    def said(self) -> Content:
        """What the message says, or, if it is an edit, what an earlier one says now."""
        return self.edit.message if self.edit and self.edit.message else self

    @property
    def key(self) -> str:
        """The message's key, made from its id."""
        return key_of(self.id)


class Status(msgspec.Struct):
    id: str
    status: str = ""
    errors: list[Fault] = []


class Profile(msgspec.Struct):
    name: str = ""
    username: str = ""


class Contact(msgspec.Struct):
    profile: Profile = msgspec.field(default_factory=Profile)
    wa_id: str = ""
    user_id: str = ""

    @property
    def ids(self) -> list[str]:
        """The person's ids: their number without its plus, if it is shown, and the one that WhatsApp assigns."""
        return [found for found in (self.wa_id.removeprefix("+"), self.user_id) if ACCOUNT.match(found)]


class Metadata(msgspec.Struct):
    phone_number_id: str = ""


class Value(msgspec.Struct):
    """What happened to one number. ``messages`` and ``statuses`` are any JSON until each is read by itself."""

    metadata: Metadata = msgspec.field(default_factory=Metadata)
    contacts: list[Contact] = []
    messages: Words[list[Any]] = []
    statuses: list[Any] = []
    errors: list[Fault] = []


class Change(msgspec.Struct):
    field: Words[str] = ""
    value: Words[dict[str, Any]] = {}


class Entry(msgspec.Struct):
    changes: Words[list[Any]] = []


class Batch(msgspec.Struct):
    """One webhook request: changes of several accounts, each with several messages."""

    entry: Words[list[Any]] = []


def key_of(message_id: str) -> str:
    """Return a message id as a key: unchanged if it is short and printable, else its hash."""
    plain = message_id.isascii() and message_id.isprintable() and " " not in message_id
    return message_id if plain and 0 < len(message_id) <= MAX_KEY else sha256(message_id.encode()).hexdigest()
