"""Turns Slack's events into inbound messages: text, files, and the conversation that they belong to.

https://api.slack.com/events/message
"""

from __future__ import annotations

import asyncio
import html
import re
from typing import Final

import msgspec

from proto.gateways import Inbound
from worker.gateways.common.attachments import Attachment
from worker.gateways.common.media_download import Files
from worker.gateways.slack.account import Slack

SUBTYPES: Final = frozenset({None, "file_share", "thread_broadcast", "me_message"})
"""Subtypes of messages that people write; the others are edits, joins and messages from bots."""

MAX_FILES: Final = 20

_MENTION: Final = re.compile(r"<(@|#|!)([A-Za-z0-9^._-]+)(?:\|([^>]*))?>")
_LINK: Final = re.compile(r"<((?:https?|mailto):[^|>]+)(?:\|([^>]*))?>")


class File(msgspec.Struct):
    """A file of a message."""

    name: str | None = None
    size: int = 0
    url_private_download: str = ""
    url_private: str = ""


class Event(msgspec.Struct):
    """A ``message`` or ``app_mention`` event, with the fields that we use."""

    type: str = ""
    subtype: str | None = None
    channel: str = ""
    channel_type: str = ""
    user: str | None = None
    bot_id: str | None = None
    text: str | None = None
    ts: str = ""
    thread_ts: str | None = None
    files: list[File] | None = None


class Payload(msgspec.Struct):
    """What Slack delivers, both over the socket and over HTTP."""

    type: str = ""
    event_id: str = ""
    event: Event | None = None


def read(body: bytes | msgspec.Raw) -> Event | None:
    """Return the event of a payload, None if it has none. Raises msgspec.DecodeError."""
    payload = msgspec.json.decode(body, type=Payload)
    return payload.event if payload.type == "event_callback" else None


def is_for_her(event: Event, own_id: str) -> bool:
    """Whether a person, not a bot, speaks to her: in a direct message, or by mentioning her in a channel."""
    if event.bot_id or not event.user or event.user == own_id or event.subtype not in SUBTYPES:
        return False
    return event.type == "app_mention" or (event.type == "message" and event.channel_type == "im")


def chat_of(event: Event) -> str:
    """Return the conversation: a direct message's channel, or a thread. A mention in a channel begins a thread."""
    direct = event.type == "message" and event.channel_type == "im"
    thread = event.thread_ts or ("" if direct else event.ts)
    return f"{event.channel}:{thread}" if thread else event.channel


async def inbound(event: Event, own_id: str, account: Slack, files: Files) -> list[Inbound]:
    """Return one message as its text, then each of its files; a file that cannot be fetched is described instead."""
    assert event.user
    name = await account.name(event.user)
    text = await _text(event.text or "", own_id, account)
    sent = (event.files or [])[:MAX_FILES]
    texts = [_item(event, name, "", text)] if text or not sent else []
    items = [_item(event, name, f".{number:02}", "") for number in range(1, len(sent) + 1)]
    await asyncio.gather(*(_with_file(item, file, files) for item, file in zip(items, sent, strict=True)))
    return texts + items


async def _with_file(item: Inbound, file: File, files: Files) -> None:
    url = file.url_private_download or file.url_private
    item.content = await files.fetch(item, Attachment(url, title=file.name or "", size=file.size))


def _item(event: Event, name: str, suffix: str, content: str) -> Inbound:
    return Inbound(
        key=f"{event.channel}.{event.ts}{suffix}",
        account=event.user or "",
        account_name=name,
        chat=chat_of(event),
        private=True,
        kind="text",
        content=content or ("" if suffix else "(The person only mentioned her.)"),
        at=_nanoseconds(event.ts),
    )


async def _text(text: str, own_id: str, account: Slack) -> str:
    """Return the text as people see it (https://api.slack.com/reference/surfaces/formatting#retrieving-messages)."""
    people = {found[2] for found in _MENTION.finditer(text) if found[1] == "@" and found[2] != own_id}
    names = {user: await account.name(user) for user in sorted(people)[:MAX_FILES]}

    def shown(found: re.Match[str]) -> str:
        kind, id_, label = found[1], found[2], found[3]
        if kind == "@":
            return "" if id_ == own_id else f"@{label or names.get(id_, id_)}"
        return f"{kind if kind == '#' else '@'}{label or id_}"

    text = _LINK.sub(lambda found: f"{found[2]} ({found[1]})" if found[2] and found[2] != found[1] else found[1], text)
    return html.unescape(_MENTION.sub(shown, text)).strip()


def _nanoseconds(ts: str) -> int:
    """Convert a time stamp, which is in seconds with six decimals, to nanoseconds; 0 if it is malformed."""
    seconds, _, fraction = ts.partition(".")
    if not seconds.isdigit() or not (fraction or "0").isdigit():
        return 0
    return int(seconds) * 1_000_000_000 + int(f"{fraction:0<9.9}")
