"""Turns WhatsApp's webhook requests into inbound messages and receipts.

https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/components
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from proto.gateways import Inbound, Receipt
from worker.base.log import WorkerLog
from worker.gateways.common.attachments import Attachment, joined, shown
from worker.gateways.common.media_download import Files
from worker.gateways.whatsapp.account import class_of, undelivered

MAX_KEY: Final = 120
FORWARDED: Final = "(Forwarded; these are not the person's own words:)"

_ACCOUNT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


class Text(msgspec.Struct):
    body: str = ""


class File(msgspec.Struct):
    id: str = ""
    mime_type: str = ""
    caption: str = ""
    filename: str = ""


class Button(msgspec.Struct):
    text: str = ""


class Chosen(msgspec.Struct):
    title: str = ""
    description: str = ""


class Interactive(msgspec.Struct):
    button_reply: Chosen | None = None
    list_reply: Chosen | None = None


class Location(msgspec.Struct):
    latitude: float = 0.0
    longitude: float = 0.0
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


class Message(msgspec.Struct):
    """One message. ``from`` is missing if the person shows a user name instead of a number."""

    id: str
    type: str = "text"
    from_: str = msgspec.field(name="from", default="")
    from_user_id: str = ""
    timestamp: str = "0"
    text: Text | None = None
    image: File | None = None
    audio: File | None = None
    video: File | None = None
    document: File | None = None
    sticker: File | None = None
    button: Button | None = None
    interactive: Interactive | None = None
    location: Location | None = None
    contacts: list[SharedContact] = []
    reaction: Reaction | None = None
    system: System | None = None
    context: Context | None = None

    @property
    def account(self) -> str:
        """The writer's id: their number without its plus, else the user id that WhatsApp assigns for this business."""
        found = self.from_.removeprefix("+") or self.from_user_id
        return found if _ACCOUNT.match(found) else ""

    @property
    def key(self) -> str:
        """The message's key, made from its id."""
        return key_of(self.id)

    @property
    def file(self) -> File | None:
        """The message's file, if any."""
        return self.image or self.audio or self.video or self.document or self.sticker


class Status(msgspec.Struct):
    id: str
    status: str = ""
    errors: list[Fault] = []


class Profile(msgspec.Struct):
    name: str = ""


class Contact(msgspec.Struct):
    profile: Profile = msgspec.field(default_factory=Profile)
    wa_id: str = ""
    user_id: str = ""


class Metadata(msgspec.Struct):
    phone_number_id: str = ""


class Value(msgspec.Struct):
    metadata: Metadata = msgspec.field(default_factory=Metadata)
    contacts: list[Contact] = []
    messages: list[msgspec.Raw] = []
    statuses: list[msgspec.Raw] = []
    errors: list[Fault] = []


class Change(msgspec.Struct):
    field: str = ""
    value: msgspec.Raw = msgspec.Raw(b"{}")


class Entry(msgspec.Struct):
    changes: list[Change] = []


class Batch(msgspec.Struct):
    """One webhook request: changes of several accounts, each with several messages."""

    entry: list[Entry] = []


class Draft(NamedTuple):
    """A message whose file is not fetched yet."""

    inbound: Inbound
    message_id: str
    file: Attachment | None = None


class Contents(NamedTuple):
    """What a webhook request contains for one number."""

    drafts: list[Draft]
    receipts: list[Receipt]


def read_batch(body: bytes, number_id: str, channel: str, moved: dict[str, str], log: WorkerLog) -> Contents:
    """Read a request. What belongs to another number or cannot be read is logged and left out.

    ``moved`` maps people's new numbers to their old ones. Raises msgspec.DecodeError if the body is not one of Meta's.
    """
    found = Contents([], [])
    for entry in msgspec.json.decode(body, type=Batch).entry:
        for change in entry.changes:
            if change.field != "messages":
                log.info("meta.ignored", field=change.field[:64])
                continue
            try:
                value = msgspec.json.decode(change.value, type=Value)
            except msgspec.ValidationError as error:
                log.error("meta.unreadable", reason=str(error))
                continue
            if value.metadata.phone_number_id != number_id:
                log.warning("meta.not_ours", number=value.metadata.phone_number_id[:32])
                continue
            for fault in value.errors:
                log.warning("meta.reported", reason=undelivered(fault.code, fault.message or fault.title))
            _read_value(value, channel, moved, found, log)
    return found


def key_of(message_id: str) -> str:
    """Return a message id as a key: unchanged if it is short and printable, else its hash."""
    plain = message_id.isascii() and message_id.isprintable() and " " not in message_id
    return message_id if plain and 0 < len(message_id) <= MAX_KEY else sha256(message_id.encode()).hexdigest()


async def with_file(one: Draft, files: Files) -> Inbound:
    """Return the message with its file; a file that cannot be fetched is described instead."""
    if one.file:
        one.inbound.content = joined(await files.fetch(one.inbound, one.file), one.inbound.content)
    return one.inbound


def _read_value(value: Value, channel: str, moved: dict[str, str], found: Contents, log: WorkerLog) -> None:
    names = {key: contact.profile.name for contact in value.contacts for key in (contact.wa_id, contact.user_id) if key}
    for raw in value.messages:
        try:
            message = msgspec.json.decode(raw, type=Message)
        except msgspec.ValidationError as error:
            log.error("meta.unreadable", reason=str(error))
            continue
        if draft := _draft(message, names, moved, log):
            found.drafts.append(draft)
    for raw in value.statuses:
        try:
            status = msgspec.json.decode(raw, type=Status)
        except msgspec.ValidationError as error:
            log.error("meta.unreadable", reason=str(error))
            continue
        if status.status == "failed":
            fault = status.errors[0] if status.errors else Fault()
            reason = undelivered(fault.code, fault.message or fault.title)
            found.receipts.append(Receipt(channel, key_of(status.id), reason, class_of(fault.code)))


def _draft(message: Message, names: dict[str, str], moved: dict[str, str], log: WorkerLog) -> Draft | None:
    account = message.account
    if message.type == "system":
        if message.system and (new := message.system.new_wa_id or message.system.wa_id):
            moved[new] = account
            log.info("meta.number_changed", message=message.key)
        return None
    if not account or (message.reaction and not message.reaction.emoji):
        return None
    text = _text(message)
    if old := moved.pop(account, ""):
        text = f"(This person used to write from the number +{old}.)\n{text}"
    seconds = int(message.timestamp) if message.timestamp.isdigit() else 0
    inbound = Inbound(
        key=message.key,
        account=account,
        account_name=shown(names.get(account, "")) or (f"+{account}" if account.isdigit() else account),
        chat=account,
        private=True,
        kind="text",
        content=text,
        at=seconds * 1_000_000_000,
    )
    file = message.file
    attachment = Attachment(file.id, file.mime_type, file.filename) if file else None
    return Draft(inbound, message.id, attachment)


def _text(message: Message) -> str:
    context = message.context
    forwarded = FORWARDED if context and (context.forwarded or context.frequently_forwarded) else ""
    return joined(forwarded, _content(message))


def _content(message: Message) -> str:
    """Return the text of a message, or a description of what is neither text nor a file."""
    if message.text:
        return message.text.body
    if message.file:
        return message.file.caption
    if message.button:
        return message.button.text
    if message.interactive and (chosen := message.interactive.button_reply or message.interactive.list_reply):
        return ": ".join(part for part in (chosen.title, chosen.description) if part)
    if place := message.location:
        named = "".join(f"{part}, " for part in (shown(place.name), shown(place.address)) if part)
        return f"(The person sent a location: {named}latitude {place.latitude}, longitude {place.longitude}.)"
    if message.contacts:
        people = "; ".join(
            ", ".join([shown(one.name.formatted_name), *(shown(phone.phone) for phone in one.phones)])
            for one in message.contacts
        )
        return f"(The person sent contacts: {people}.)"
    if message.reaction:
        return f"(The person reacted to your message with {shown(message.reaction.emoji)}.)"
    return f"(The person sent something that cannot be perceived here: {shown(message.type)}.)"
