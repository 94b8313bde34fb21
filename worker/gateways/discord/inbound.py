"""Turns Discord's messages into inbound messages: text, files and commands."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from proto.gateways import Inbound
from worker.gateways.common.attachments import Attachment, joined, shown
from worker.gateways.common.media_download import Files
from worker.gateways.discord.frames import HUMAN, Message, UploadedFile, moment_number, nanoseconds

CORRECTION: Final = "(The person corrected an earlier message. It now reads:)\n"
FORWARDED: Final = "(Forwarded; these are not the person's own words:)\n"
QUOTE_CHARS: Final = 200

_COMMAND: Final = re.compile(r"/(start|hello|stop|restart)(?:\s+(.*))?\s*\Z", re.IGNORECASE | re.DOTALL)


def is_from_person(message: Message, own_id: str) -> bool:
    """Whether a human wrote it: not a bot, a webhook, Discord itself or this bot."""
    author = message.author
    if author is None or author.bot or author.id == own_id:
        return False
    return message.webhook_id is None and message.type in HUMAN


async def inbound(message: Message, files: Files, *, edited: bool) -> list[Inbound]:
    """Return one message as its text, then each of its files; empty if it contains nothing new.

    An ``edited`` message is a correction of its text. A message from a server is passed on without its content. A file
    that cannot be fetched is described instead.
    """
    if message.guild_id is not None:
        return [] if edited else [_item(message, message.id)]
    if edited:
        return _correction(message)
    forwarded = [file for snapshot in message.message_snapshots for file in snapshot.message.attachments]
    sent = [*message.attachments, *forwarded]
    if not sent and (command := _COMMAND.match(message.content)):
        item = _item(message, message.id, (command[2] or "").strip())
        item.command = command[1].lower()
        return [item]
    text = _text(message)
    texts = [_item(message, message.id, text)] if text else []
    items = [_item(message, f"{message.id}.{number:02}") for number in range(1, len(sent) + 1)]
    await asyncio.gather(*(_with_file(item, file, files) for item, file in zip(items, sent, strict=True)))
    return texts + items


async def _with_file(item: Inbound, file: UploadedFile, files: Files) -> None:
    voice = file.duration_secs is not None
    found = (
        Attachment(file.url, "audio/ogg", "", file.size, "a voice message")
        if voice
        else Attachment(file.url, "", file.filename, file.size)
    )
    item.content = await files.fetch(item, found)


def _correction(message: Message) -> list[Inbound]:
    if message.edited_timestamp is None or not message.content:
        return []
    item = _item(message, message.key, CORRECTION + message.content)
    item.at = nanoseconds(moment_number(message.edited_timestamp))
    return [item]


def _item(message: Message, key: str, content: str = "") -> Inbound:
    assert message.author
    return Inbound(
        key=key,
        account=message.author.id,
        account_name=_visible(message.author.username)[:128],
        chat=message.channel_id,
        private=message.guild_id is None,
        kind="text",
        content=content,
        at=nanoseconds(message.number),
    )


def _text(message: Message) -> str:
    """Return the text, with a description of anything that is neither text nor a file."""
    parts = []
    if message.referenced_message and (quoted := _visible(message.referenced_message.content)):
        parts.append(f'(In answer to: "{quoted[:QUOTE_CHARS]}")')
    parts.extend(f'(The person sent a sticker named "{shown(sticker.name)}".)' for sticker in message.sticker_items)
    parts.extend(FORWARDED + snapshot.message.content for snapshot in message.message_snapshots)
    parts.append(message.content)
    if not (message.content or message.attachments or message.sticker_items or message.message_snapshots):
        parts.append("(The person sent something that cannot be perceived here.)")
    return joined(*parts).strip()


def _visible(text: str) -> str:
    """Return the text as one line."""
    return " ".join(text.split())
