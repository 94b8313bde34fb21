"""Turns WhatsApp's webhook requests into inbound messages and receipts.

https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/components
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from proto.gateways import Inbound, Receipt, Revision, digest
from proto.perception import FORWARDED
from worker.base.log import WorkerLog
from worker.gateways.common.attachments import Attachment, joined, shown
from worker.gateways.common.context import CORRECTION
from worker.gateways.common.media_download import Files
from worker.gateways.common.reading import fitted, nanoseconds, parsed
from worker.gateways.common.trouble import UnreadableError
from worker.gateways.whatsapp.account import class_of, undelivered
from worker.gateways.whatsapp.batch import (
    ACCOUNT,
    Batch,
    Change,
    Contact,
    Content,
    Entry,
    Fault,
    Form,
    Message,
    Order,
    Status,
    Value,
    key_of,
)

MAX_FIELDS: Final = 50
"""Fields of a form, or products of an order, that are told."""

EMPTY: Final = "(The person sent an empty message.)"


class Draft(NamedTuple):
    """A message whose file is not fetched yet."""

    inbound: Inbound
    message_id: str
    file: Attachment | None = None


class Contents(NamedTuple):
    """What a webhook request contains for one number.

    ``rest`` holds the entries of the request (Any: their JSON) with what could not be read, ``reasons`` why.
    """

    drafts: list[Draft]
    receipts: list[Receipt]
    rest: list[Any]
    reasons: list[str]


class Reader(NamedTuple):
    """Reads requests for one number. ``moved`` maps people's new numbers to their old ones."""

    number_id: str
    channel: str
    moved: dict[str, str]
    log: WorkerLog

    def read(self, body: bytes) -> Contents:
        """Read a request; what belongs to another number is left out. Raises UnreadableError if nothing can be read."""
        found = Contents([], [], [], [])
        for entry in fitted(parsed(body), Batch).entry:
            try:
                changes = fitted(entry, Entry).changes
            except UnreadableError as error:
                self._leave(found, str(error))
                found.rest.append(entry)
                continue
            if rest := [left for change in changes if (left := self._change(change, found))]:
                found.rest.append({**entry, "changes": rest})
        return found

    def _change(self, raw: Any, found: Contents) -> Any:
        """Read one change. Returns what could not be read of it, None if all of it was read (Any: JSON)."""
        try:
            change = fitted(raw, Change)
            if change.field != "messages":
                self.log.info("meta.ignored", field=change.field[:64])
                return None
            value = _value(change)
        except UnreadableError as error:
            self._leave(found, str(error))
            return raw
        if value.metadata.phone_number_id != self.number_id:
            self.log.warning("meta.not_ours", number=value.metadata.phone_number_id[:32])
            return None
        for fault in value.errors:
            self.log.warning("meta.reported", reason=undelivered(fault.code, fault.message or fault.title))
        self._receipts(value, found)
        if rest := self._messages(value, found):
            return {**raw, "value": {**change.value, "messages": rest, "statuses": []}}
        return None

    def _messages(self, value: Value, found: Contents) -> list[Any]:
        """Read the messages. Returns those that cannot be read (Any: their JSON)."""
        rest = []
        for raw in value.messages:
            try:
                draft = self._draft(fitted(raw, Message), value.contacts)
            except UnreadableError as error:
                self._leave(found, str(error))
                rest.append(raw)
            else:
                found.drafts.extend(filter(None, [draft]))
        return rest

    def _receipts(self, value: Value, found: Contents) -> None:
        for raw in value.statuses:
            try:
                status = fitted(raw, Status)
            except UnreadableError as error:
                self.log.error("meta.unreadable", reason=str(error))
                continue
            if status.status == "failed":
                fault = status.errors[0] if status.errors else Fault()
                reason = undelivered(fault.code, fault.message or fault.title)
                found.receipts.append(Receipt(self.channel, key_of(status.id), reason, class_of(fault.code)))

    def _draft(self, message: Message, contacts: Sequence[Contact]) -> Draft | None:
        """Return a message, None for what nobody wrote. Raises UnreadableError if it does not say who wrote it."""
        account = message.account or _only(contacts)
        if message.type == "system":
            if message.system and (new := message.system.new_wa_id or message.system.wa_id):
                self.moved[new] = account
                self.log.info("meta.number_changed", message=message.key)
            return None
        if message.type == "revoke" or (message.reaction and not message.reaction.emoji):
            return None
        if not account:
            raise UnreadableError("the message does not say who wrote it")
        revision = _revision(message)
        text, file = (CORRECTION if revision.edit else "") + _text(message.said), message.said.file
        if old := self.moved.pop(account, ""):
            text = f"(This person used to write from the number +{old}.)\n{text}"
        names = {id_: one.profile.name or one.profile.username for one in contacts for id_ in one.ids}
        inbound = Inbound(
            key=message.key,
            account=account,
            account_name=shown(names.get(account, "")) or (f"+{account}" if account.isdigit() else account),
            chat=account,
            private=not message.group_id,
            kind="text",
            content=text or ("" if file else EMPTY),
            at=nanoseconds(message.timestamp),
            revision=revision,
            alias=_alias(message, account, contacts),
        )
        return Draft(inbound, message.id, _attachment(message.said))

    def _leave(self, found: Contents, reason: str) -> None:
        self.log.error("meta.unreadable", reason=reason)
        found.reasons.append(reason)


def _revision(message: Message) -> Revision:
    """Say which message this is, or is an edit of. A file that stays has the same hash, and perhaps another id."""
    said, is_edit = message.said, message.said is not message
    file = digest(said.file.sha256 or said.file.id) if said.file else ""
    original = message.edit.original_message_id if message.edit and is_edit else ""
    return Revision(digest(original or message.id), digest(_text(said)), file, "correction" if is_edit else None)


def _value(change: Change) -> Value:
    value = fitted(change.value, Value)
    if value.messages and not value.metadata.phone_number_id:
        raise UnreadableError("it does not say whose number it is for")
    return value


def _alias(message: Message, account: str, contacts: Sequence[Contact]) -> str | None:
    """Return the writer's other id, if the request names it.

    https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids
    """
    theirs = [message.from_user_id, *(id_ for one in contacts if account in one.ids for id_ in one.ids)]
    return next((id_ for id_ in theirs if id_ != account and ACCOUNT.match(id_)), None)


def _only(contacts: Sequence[Contact]) -> str:
    """Return who wrote if only one person is named: a message's own ``from`` may be missing."""
    if len(contacts) != 1:
        return ""
    return next(iter(contacts[0].ids), "")


async def with_file(one: Draft, files: Files) -> Inbound:
    """Return the message with its file; a file that cannot be fetched is described instead."""
    if one.file:
        one.inbound.content = joined(await files.fetch(one.inbound, one.file), one.inbound.content)
    return one.inbound


def _attachment(message: Content) -> Attachment | None:
    file = message.file
    if not file:
        return None
    # Audio files come without a name; only what the person recorded for her has none.
    is_audio_file = file is message.audio and not file.voice
    return Attachment(file.id, file.mime_type, file.filename or ("audio file" if is_audio_file else ""))


def _text(message: Content) -> str:
    context = message.context
    forwarded = FORWARDED if context and (context.forwarded or context.frequently_forwarded) else ""
    return joined(forwarded, _content(message))


def _content(message: Content) -> str:
    """Return the text of a message, or a description of what is neither text nor a file."""
    if message.text:
        return message.text.body
    if message.file:
        return message.file.caption
    if message.button:
        return message.button.text
    if message.interactive and message.interactive.nfm_reply:
        return _filled_in(message.interactive.nfm_reply)
    if message.order:
        return _ordered(message.order)
    if message.interactive and (chosen := message.interactive.button_reply or message.interactive.list_reply):
        return ": ".join(part for part in (chosen.title, chosen.description) if part)
    if place := message.location:
        named = "".join(f"{part}, " for part in (shown(place.name), shown(place.address)) if part)
        parts = [("latitude", place.latitude), ("longitude", place.longitude)]
        point = ", ".join(f"{name} {number}" for name, number in parts if number is not None)
        return f"(The person sent a location: {named}{point or 'without coordinates'}.)"
    if message.contacts:
        people = "; ".join(
            ", ".join([shown(one.name.formatted_name), *(shown(phone.phone) for phone in one.phones)])
            for one in message.contacts
        )
        return f"(The person sent contacts: {people}.)"
    if message.reaction:
        return f"(The person reacted to your message with {shown(message.reaction.emoji)}.)"
    kind = (message.unsupported.type if message.unsupported else "") or message.type
    return f"(The person sent something that cannot be perceived here: {shown(kind)}.)"


def _filled_in(form: Form) -> str:
    """Tell what a person filled in (https://developers.facebook.com/docs/whatsapp/flows/reference/responsemsgwebhook)."""
    try:
        fields = fitted(parsed(form.response_json.encode()), dict[str, Any])
    except UnreadableError:
        return joined("(The person filled in a form:)", form.response_json)
    told = [f"{shown(name)}: {shown(str(value))}" for name, value in fields.items() if name != "flow_token"]
    return joined("(The person filled in a form:)", *told[:MAX_FIELDS])


def _ordered(order: Order) -> str:
    """Tell what a person put into their cart."""
    told = []
    for one in order.product_items[:MAX_FIELDS]:
        price = "" if one.item_price is None else f" for {one.item_price:g} {shown(one.currency)} each".rstrip()
        told.append(f"{one.quantity} x {shown(one.product_retailer_id)}{price}")
    return joined(f"(The person ordered: {'; '.join(told)}.)", order.text)
