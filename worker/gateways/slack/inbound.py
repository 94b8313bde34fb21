"""Turns Slack's events into inbound messages: text, files, and the conversation that they belong to.

https://api.slack.com/events/message
"""

from __future__ import annotations

import asyncio
import html
import re
from hashlib import sha256
from typing import Final

import msgspec

from proto.gateways import Inbound
from worker.gateways.common.attachments import Attachment, joined, shown
from worker.gateways.common.media_download import Files
from worker.gateways.common.reading import Words, fitted, nanoseconds
from worker.gateways.common.trouble import UnreadableError
from worker.gateways.slack.account import File, Slack

SUBTYPES: Final = frozenset({None, "file_share", "thread_broadcast", "me_message"})
"""Subtypes of messages that people write; the others are edits, joins and messages from bots."""

CLIP: Final = "slack_audio"
"""Somebody speaks to her (https://slack.com/help/articles/4406235165587-Record-audio-and-video-clips-in-Slack)."""

MAX_FILES: Final = 20
MENTIONED: Final = "(The person only mentioned her.)"

MAX_EARLIER: Final = 20
"""Messages of a thread that are told with a mention in it."""

EARLIER_CHARS: Final = 300
"""Characters of each of them."""

_ID: Final = re.compile(r"[A-Za-z0-9]{1,32}\Z")
_STAMP: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?\Z")

_MENTION: Final = re.compile(r"<(@|#|!)([A-Za-z0-9^._-]+)(?:\|([^<>]*))?>")
_LINK: Final = re.compile(r"<((?:https?|mailto):[^|<>]+)(?:\|([^<>]*))?>")


class Event(msgspec.Struct):
    """A ``message`` or ``app_mention`` event, with the fields that we use."""

    type: Words[str] = ""
    subtype: str | None = None
    channel: Words[str] = ""
    channel_type: str = ""
    user: Words[str] = ""
    bot_id: str = ""
    text: Words[str] = ""
    ts: Words[str] = ""
    thread_ts: str = ""
    files: list[File] = []

    @property
    def is_reply(self) -> bool:
        """Whether it was written in a thread of a channel. An app gets these if it subscribes to ``message.channels``.

        https://docs.slack.dev/reference/events/message.channels
        """
        return self.type == "message" and not self.is_direct and self.thread_ts not in ("", self.ts)

    @property
    def is_direct(self) -> bool:
        """Whether it is a direct message. The channel's id says so too, with a D, should its type be missing.

        https://api.slack.com/types/conversation
        """
        return self.type == "message" and (self.channel_type == "im" or self.channel.startswith("D"))


class Payload(msgspec.Struct):
    """What Slack delivers, both over the socket and over HTTP."""

    type: str = ""
    event_id: str = ""
    event: Words[Event | None] = None


def read(payload: object, own_id: str) -> Event | None:
    """Return the event of a payload (parsed JSON) if it is for her. Raises UnreadableError."""
    found = fitted(payload, Payload)
    event = found.event
    if event is None or found.type not in ("", "event_callback") or not is_for_her(event, own_id):
        return None
    event.ts, event.thread_ts = _stamp(event.ts), _stamp(event.thread_ts)
    if not (_ID.match(event.channel) and _ID.match(event.user) and _STAMP.match(event.ts)):
        raise UnreadableError("the message does not say who wrote it, where, or when")
    if event.thread_ts and not _STAMP.match(event.thread_ts):
        raise UnreadableError("it.event.thread_ts is no time stamp")
    return event


def key_of(payload: object, body: bytes) -> str:
    """Return what identifies a payload's repetitions: Slack's id of the event, otherwise a hash of the body."""
    try:
        found = fitted(payload, Payload).event_id
    except UnreadableError:
        found = str(payload.get("event_id", "")) if isinstance(payload, dict) else ""
    return found if _ID.match(found) else sha256(body).hexdigest()


def is_for_her(event: Event, own_id: str) -> bool:
    """Whether a person, not a bot, speaks to her: in a direct message, by mentioning her, or perhaps in a thread.

    Of what is said in threads without mentioning her, she gets what mentions nobody else. A mention of her comes as an
    ``app_mention``, too.
    """
    if event.bot_id or not event.user or event.user == own_id or event.subtype not in SUBTYPES:
        return False
    return event.type == "app_mention" or event.is_direct or (event.is_reply and "<@" not in event.text)


def chat_of(event: Event) -> str:
    """Return the conversation: a direct message's channel, or a thread. A mention in a channel begins a thread."""
    thread = event.thread_ts or ("" if event.is_direct else event.ts)
    return f"{event.channel}:{thread}" if thread else event.channel


async def inbound(event: Event, own_id: str, account: Slack, files: Files) -> list[Inbound]:
    """Return one message as its text, then each of its files; a file that cannot be fetched is described instead."""
    name = await account.name(event.user)
    if event.is_reply:
        return [await _reply(event, name, own_id, account)]
    text = await _text(event.text, own_id, account)
    if not event.is_direct:
        # Several people may write in one thread, which is one conversation.
        notes = [f"({name} writes in this thread:)"]
        if event.thread_ts and event.thread_ts != event.ts:
            notes = await _earlier(event, own_id, account) + notes
        text = joined(*notes, text or ("" if event.files else MENTIONED))
    sent = event.files[:MAX_FILES]
    texts = [_item(event, name, "", text)] if text or not sent else []
    items = [_item(event, name, f".{number:02}", "") for number in range(1, len(sent) + 1)]
    await asyncio.gather(*(_with_file(item, file, account, files) for item, file in zip(items, sent, strict=True)))
    return texts + items


async def _reply(event: Event, name: str, own_id: str, account: Slack) -> Inbound:
    """Return what was said in a thread. Its files are not fetched: she may have no part in the thread."""
    named = [shown(file.name or file.title or "without a name") for file in event.files[:MAX_FILES]]
    files = f"(With files, which she gets only with a mention: {', '.join(named)}.)" if named else ""
    text = joined(f"({name} writes in this thread:)", files, await _text(event.text, own_id, account))
    item = _item(event, name, "", text)
    item.unaddressed = True
    return item


async def _earlier(event: Event, own_id: str, account: Slack) -> list[str]:
    """Return notes on what was said in a thread since her last message there, but for what was said to her."""
    said = await account.thread(event.channel, event.thread_ts, event.ts)
    hers = [number for number, one in enumerate(said) if one.user == own_id]
    since = said[hers[-1] + 1 :] if hers else said
    told = [one for one in since if one.ts != event.ts and f"<@{own_id}" not in one.text]
    notes = []
    for one in told[-MAX_EARLIER:]:
        writer = (await account.name(one.user)) if one.user else "somebody"
        words = " ".join((await _text(one.text, own_id, account)).split())[:EARLIER_CHARS]
        notes.append(f"(Earlier in this thread, {writer}: {words or 'something without words'})")
    return notes


async def _with_file(item: Inbound, file: File, account: Slack, files: Files) -> None:
    if file.file_access == "check_file_info":
        # A file that another organization shares is only named (https://api.slack.com/types/file#slack_connect_files).
        file = await account.file(file.id) or file
    url = file.url_private_download or file.url_private
    if file.subtype == CLIP:
        # Slack names its clips itself, and calls the type of some of them a video's.
        found = Attachment(url, "audio/mp4", "", file.size, "a voice message")
    else:
        found = Attachment(url, file.mimetype, file.name or file.title, file.size)
    item.content = await files.fetch(item, found)


def _item(event: Event, name: str, suffix: str, content: str) -> Inbound:
    return Inbound(
        key=f"{event.channel}.{event.ts}{suffix}",
        account=event.user,
        account_name=name,
        chat=chat_of(event),
        private=True,
        kind="text",
        content=content or ("" if suffix else MENTIONED),
        at=_nanoseconds(event.ts),
    )


async def _text(text: str, own_id: str, account: Slack) -> str:
    """Return the text as people see it (https://api.slack.com/reference/surfaces/formatting#retrieving-messages)."""
    people = {found[2] for found in _MENTION.finditer(text) if found[1] == "@" and found[2] != own_id}
    names = {user: await account.name(user) for user in sorted(people)[:MAX_FILES]}

    def readable(found: re.Match[str]) -> str:
        kind, id_, label = found[1], found[2], found[3]
        if kind == "@":
            return "" if id_ == own_id else f"@{label or names.get(id_, id_)}"
        return f"{kind if kind == '#' else '@'}{label or id_}"

    text = _LINK.sub(lambda found: f"{found[2]} ({found[1]})" if found[2] and found[2] != found[1] else found[1], text)
    return html.unescape(_MENTION.sub(readable, text)).strip()


def _stamp(ts: str) -> str:
    """Return a time stamp with its six decimals, which it loses where it comes as a number."""
    seconds, dot, fraction = ts.partition(".")
    return f"{seconds}.{fraction:0<6}" if dot else ts


def _nanoseconds(ts: str) -> int:
    """Convert a time stamp, which is in seconds with six decimals, to nanoseconds; 0 if it cannot be true."""
    seconds, _, fraction = ts.partition(".")
    whole = nanoseconds(seconds)
    return whole + int(f"{fraction:0<9.9}") if whole else 0
