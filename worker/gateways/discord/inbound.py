"""Turns Discord's messages into inbound messages: text, files and commands."""

from __future__ import annotations

import asyncio
import re
from typing import Final, Literal

from proto.gateways import Inbound, Revision, digest
from proto.perception import EXTENSIONS
from worker.gateways.common.attachments import Attachment, joined, shown
from worker.gateways.common.context import CORRECTION, Author, Quoted, forwarded, in_answer_to, one_line
from worker.gateways.common.media_download import Files
from worker.gateways.discord.frames import HUMAN, Answered, Message, UploadedFile, is_id, moment_of, nanoseconds

_COMMAND: Final = re.compile(r"/(start|hello|hush|stop|restart)(?:\s+(.*))?\s*\Z", re.IGNORECASE | re.DOTALL)


def is_from_person(message: Message, own_id: str) -> bool:
    """Whether a human wrote it: not a bot, a webhook, Discord itself or this bot."""
    author = message.author
    if author is None or author.bot or author.id == own_id:
        return False
    return message.webhook_id is None and message.type in HUMAN


async def inbound(message: Message, files: Files, own_id: str, *, edited: bool) -> list[Inbound]:
    """Return one message as its text, then each of its files; empty if it contains nothing new.

    An ``edited`` message is a correction of its text. A message from a server is passed on without its content. A file
    that cannot be fetched is described instead. ``own_id`` is this bot's.
    """
    if message.guild_id is not None:
        return [] if edited else [_item(message, message.id)]
    if edited:
        return _correction(message)
    passed_on = [file for snapshot in message.message_snapshots for file in snapshot.message.attachments]
    sent = [_attachment(file) for file in message.attachments]
    # Each file is a message of its own, so each needs the note.
    sent += [_attachment(file)._replace(note=forwarded(Author("other")).strip()) for file in passed_on]
    if not sent and (command := _COMMAND.match(message.content)):
        item = _item(message, message.id, (command[2] or "").strip())
        item.command = command[1].lower()
        return [_revised(item, message)]
    sent = sent or _quoted_pictures(message)
    text = _text(message, own_id)
    texts = [_revised(_item(message, message.id, text), message)] if text else []
    items = [_item(message, f"{message.id}.{number:02}") for number in range(1, len(sent) + 1)]
    await asyncio.gather(*(_with_file(item, file, files) for item, file in zip(items, sent, strict=True)))
    return texts + items


async def _with_file(item: Inbound, file: Attachment, files: Files) -> None:
    item.content = await files.fetch(item, file)


def _attachment(file: UploadedFile) -> Attachment:
    if file.duration_secs is not None:
        return Attachment(file.url, "audio/ogg", "", file.size, "a voice message")
    return Attachment(file.url, file.content_type or "", file.filename, file.size)


def _quoted_pictures(message: Message) -> list[Attachment]:
    """Return the pictures that a reply refers to, so that she can look at them again with the new words."""
    answered = message.referenced_message
    files = [_attachment(file) for file in answered.attachments] if answered else []
    noun = "the picture that they refer to"
    return [file._replace(noun=noun) for file in files if EXTENSIONS.get(file.extension) == "image"]


def _correction(message: Message) -> list[Inbound]:
    if message.edited_timestamp is None or not message.content:
        return []
    item = _item(message, message.key, CORRECTION + message.content)
    item.at = nanoseconds(message.edited)
    return [_revised(item, message, "correction")]


def _revised(item: Inbound, message: Message, edit: Literal["correction"] | None = None) -> Inbound:
    """Say which message this is, so that an update that changed nothing of its text is recognized."""
    item.revision = Revision(message.id, digest(message.content), "", edit)
    return item


def _item(message: Message, key: str, content: str = "") -> Inbound:
    assert message.author
    return Inbound(
        key=key,
        account=message.author.id,
        account_name=one_line(message.author.username)[:128],
        chat=message.channel_id,
        private=message.guild_id is None,
        kind="text",
        content=content,
        at=nanoseconds(message.number),
    )


def _text(message: Message, own_id: str) -> str:
    """Return the text, with a description of anything that is neither text nor a file."""
    parts = [_reply(message, own_id)]
    parts.extend(f'(The person sent a sticker named "{shown(sticker.name)}".)' for sticker in message.sticker_items)
    # A snapshot does not tell whose words it holds.
    parts.extend(forwarded(Author("other")) + snapshot.message.content for snapshot in message.message_snapshots)
    parts.append(message.content)
    if not (message.content or message.attachments or message.sticker_items or message.message_snapshots):
        parts.append("(The person sent something that cannot be perceived here.)")
    return joined(*parts).strip()


def _reply(message: Message, own_id: str) -> str:
    answered = message.referenced_message
    if answered is None:
        return ""
    author = _author(answered, message, own_id)
    thing = "a sticker" if answered.sticker_items else ""
    if answered.attachments:
        thing = _attachment(answered.attachments[0]).what
    at = moment_of(int(answered.id)) if is_id(answered.id) else None
    return in_answer_to(Quoted(author, answered.content, thing, at)).rstrip("\n")


def _author(answered: Answered, message: Message, own_id: str) -> Author:
    if answered.author is None:
        return Author("other")
    if answered.author.id == own_id:
        return Author("she")
    if message.author and answered.author.id == message.author.id:
        return Author("person")
    return Author("other", answered.author.username)
