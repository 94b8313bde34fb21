"""Turns Twilio's messages into inbound messages, both those from webhooks and those from the REST API's list.

https://www.twilio.com/docs/messaging/guides/webhook-request
"""

from __future__ import annotations

import re
import time
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from proto.gateways import GatewayType, Inbound, Receipt
from proto.perception import FORWARDED
from worker.gateways.common.attachments import Attachment, joined, shown
from worker.gateways.common.media_download import Files
from worker.gateways.twilio.account import class_of, digits, moment, undelivered

MAX_FILES: Final = 10
"""Files of one message (https://www.twilio.com/docs/messaging/api/media-resource)."""

MAX_FIELDS: Final = 500
MAX_CODE: Final = 9
"""Digits of an error code."""

STOP: Final = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"})
START: Final = frozenset({"start", "unstop"})
HELP: Final = frozenset({"help", "info"})
"""Keywords that Twilio handles and answers itself (https://help.twilio.com/articles/223134027). ``yes`` is left out: it
opts in only people who had opted out, and otherwise it is an ordinary answer."""

FAILED: Final = frozenset({"failed", "undelivered"})

_SID: Final = re.compile(r"[A-Za-z0-9]{1,64}\Z")


class Draft(NamedTuple):
    """A message whose files are not fetched yet."""

    inbound: Inbound
    files: tuple[Attachment, ...] = ()


class Row(msgspec.Struct):
    """A message in the REST API's list (https://www.twilio.com/docs/messaging/api/message-resource)."""

    sid: str
    direction: str = ""
    body: str | None = ""
    from_: str | None = msgspec.field(name="from", default="")
    to: str | None = ""
    num_media: str = "0"
    date_sent: str | None = None
    date_created: str | None = None
    status: str = ""
    error_code: int | None = None
    error_message: str | None = None

    @property
    def at(self) -> int:
        """When it was sent, in epoch seconds."""
        return moment(self.date_sent) or moment(self.date_created)


def form_of(body: bytes) -> dict[str, str]:
    """Return the fields of a webhook request. Raises ValueError if it cannot be read."""
    return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS))


def draft(form: dict[str, str]) -> Draft | None:
    """Return the message in a webhook request, None if its sender cannot be answered.

    The files are those that have an address, whatever their number is said to be. Raises ValueError.
    """
    account, sid = digits(form.get("From", "")), form.get("MessageSid") or form.get("SmsSid", "")
    if not account or not sid:
        return None
    if not _SID.match(sid):
        raise ValueError("the message's id is none of Twilio's")
    files = tuple(
        Attachment(form[f"MediaUrl{n}"], form.get(f"MediaContentType{n}", ""))
        for n in range(MAX_FILES)
        if form.get(f"MediaUrl{n}")
    )
    name = form.get("ProfileName") or f"+{account}"
    return Draft(_item(sid, account, name, _text(form, len(files)), time.time_ns()), files)


def draft_of_row(row: Row, files: tuple[Attachment, ...]) -> Draft | None:
    """Return the message in a row of the list, None if its sender cannot be answered."""
    account = digits(row.from_ or "")
    if not account or not _SID.match(row.sid):
        return None
    return Draft(_item(row.sid, account, f"+{account}", row.body or "", row.at * 1_000_000_000), files)


def opt_change(kind: GatewayType, text: str, opt_out_type: str = "") -> Literal["stop", "start", "help", ""]:
    """Return which keyword a message is to Twilio, "" if it is none.

    On WhatsApp Twilio handles no keywords, unless the webhook has an ``opt_out_type``
    (https://www.twilio.com/docs/messaging/tutorials/advanced-opt-out).
    """
    word = opt_out_type.lower() or (" ".join(text.split()).lower() if kind == "sms" else "")
    if word in STOP:
        return "stop"
    if word in START:
        return "start"
    return "help" if word in HELP else ""


def receipt(channel: str, form: dict[str, str]) -> Receipt | None:
    """Return the receipt for a status callback about a failed message, None for any other status.

    https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
    """
    if form.get("MessageStatus", "") not in FAILED:
        return None
    code = form.get("ErrorCode", "")
    number = int(code) if code.isdecimal() and len(code) <= MAX_CODE else None
    return Receipt(channel, form.get("MessageSid", "")[:128], undelivered(number), class_of(number))


async def with_files(one: Draft, files: Files) -> list[Inbound]:
    """Return the message with its files, fetched one by one; a file that cannot be fetched is described instead."""
    inbound = one.inbound
    if not one.files:
        return [inbound]
    text, items = inbound.content, []
    for number, file in enumerate(one.files):
        key = f"{inbound.key}.{number:02}" if number else inbound.key
        item = msgspec.structs.replace(inbound, key=key, content="")
        item.content = joined(await files.fetch(item, file), text if not number else "")
        items.append(item)
    return items


def _text(form: dict[str, str], files: int) -> str:
    """Return the text, with a description of what WhatsApp sends besides text and files."""
    notes = []
    if form.get("Forwarded") == "true" or form.get("FrequentlyForwarded") == "true":
        notes.append(FORWARDED)
    if form.get("Latitude") and form.get("Longitude"):
        label = shown(" ".join(form[key] for key in ("Label", "Address") if form.get(key)))
        place = f"{label}, " if label else ""
        notes.append(
            f"(The person sent a location: {place}latitude {form['Latitude']}, longitude {form['Longitude']}.)"
        )
    body = form.get("Body", "") or form.get("ButtonText", "")
    if not (body or files or notes):
        notes.append("(The person sent an empty message.)")
    return "\n".join([*notes, body]).strip()


def _item(sid: str, account: str, name: str, text: str, at: int) -> Inbound:
    return Inbound(
        key=sid,
        account=account,
        account_name=shown(name),
        chat=account,
        private=True,
        kind="text",
        content=text,
        at=at,
    )
