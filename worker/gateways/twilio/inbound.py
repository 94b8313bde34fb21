"""Twilio's messages as inbound messages, whether a webhook brought them or a list of the REST API."""

from __future__ import annotations

import time
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from proto.gateways import GatewayType, Inbound, Receipt
from worker.gateways.common.attachments import Attachment, joined, shown
from worker.gateways.common.fetching import Files
from worker.gateways.twilio.account import class_of, digits, moment, undelivered

MAX_FILES: Final = 10
"""Media of one message (https://www.twilio.com/docs/messaging/api/media-resource)."""

MAX_FIELDS: Final = 500

STOP: Final = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"})
START: Final = frozenset({"start", "unstop"})
HELP: Final = frozenset({"help", "info"})
"""Twilio acts on these by itself and answers them (https://help.twilio.com/articles/223134027). ``yes`` is not among
ours: it opts in only those who opted out, and is an answer otherwise."""

FAILED: Final = frozenset({"failed", "undelivered"})


class Opting(NamedTuple):
    """Somebody said STOP or START."""

    account: str
    out: bool


class Letter(NamedTuple):
    """A message as far as it can be told without fetching its files."""

    inbound: Inbound
    files: tuple[Attachment, ...] = ()


class Row(msgspec.Struct):
    """A message in a list of the REST API."""

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
    """The fields of a webhook request; raises ValueError."""
    return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS))


def letter(form: dict[str, str]) -> Letter | None:
    """The message in a webhook request; None when its sender cannot be answered."""
    account, sid = digits(form.get("From", "")), form.get("MessageSid") or form.get("SmsSid", "")
    if not account or not sid:
        return None
    count = min(int(form.get("NumMedia") or "0"), MAX_FILES)
    files = tuple(
        Attachment(form[f"MediaUrl{n}"], form.get(f"MediaContentType{n}", ""))
        for n in range(count)
        if f"MediaUrl{n}" in form
    )
    name = form.get("ProfileName") or f"+{account}"
    return Letter(_item(sid, account, name, _text(form, len(files)), time.time_ns()), files)


def letter_of_row(row: Row, files: tuple[Attachment, ...]) -> Letter | None:
    """The message in a list; None when its sender cannot be answered."""
    account = digits(row.from_ or "")
    if not account:
        return None
    return Letter(_item(row.sid, account, f"+{account}", row.body or "", row.at * 1_000_000_000), files)


def opting(kind: GatewayType, account: str, text: str, told_by_twilio: str = "") -> Opting | str:
    """Whether a message is for Twilio and not for her: STOP and START, or "help"; "" for all others.

    Over WhatsApp Twilio acts on none by itself, unless it says so.
    """
    word = told_by_twilio.lower() or (" ".join(text.split()).lower() if kind == "sms" else "")
    if word in STOP:
        return Opting(account, out=True)
    if word in START:
        return Opting(account, out=False)
    return "help" if word in HELP else ""


def receipt(channel: str, form: dict[str, str]) -> Receipt | None:
    """What a status callback says of a message that did not arrive; None for all that is well."""
    if form.get("MessageStatus", "") not in FAILED:
        return None
    code = form.get("ErrorCode", "")
    number = int(code) if code.isdigit() else None
    return Receipt(channel, form.get("MessageSid", "")[:128], undelivered(number), class_of(number))


async def with_files(one: Letter, files: Files) -> list[Inbound]:
    """The message with its files, one after the other; a file that cannot be had is described instead."""
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
    """The text, with a description of what WhatsApp sends besides text and files."""
    notes = []
    if form.get("Forwarded") == "true" or form.get("FrequentlyForwarded") == "true":
        notes.append("(Forwarded; these are not the person's own words:)")
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
        key=sid[:120],
        account=account,
        account_name=shown(name),
        chat=account,
        private=True,
        kind="text",
        content=text,
        at=at,
    )
