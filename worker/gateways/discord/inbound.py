"""Discord's messages as inbound messages: words, files, and which command they are."""

from __future__ import annotations

import asyncio
import re
from pathlib import PurePosixPath
from typing import Final

from proto.gateways import Inbound
from proto.perception import EXTENSIONS, PerceptionKind
from worker.gateways.common.media import NotFetchedError
from worker.gateways.discord.frames import HUMAN, Attachment, Message, moment_number, nanoseconds
from worker.gateways.discord.media import MediaStore

CORRECTION: Final = "(The person corrected an earlier message. It now reads:)\n"
FORWARDED: Final = "(Forwarded; these are not the person's own words:)\n"
QUOTE_CHARS: Final = 200
NAME_CHARS: Final = 100

_COMMAND: Final = re.compile(r"/(start|hello|stop|restart)(?:\s+(.*))?\s*\Z", re.IGNORECASE | re.DOTALL)


def is_from_person(message: Message, own_id: str) -> bool:
    """Whether a human wrote it: no bot, no webhook, no notice of Discord's, and not this bot itself."""
    author = message.author
    if author is None or author.bot or author.id == own_id:
        return False
    return message.webhook_id is None and message.type in HUMAN


async def inbound(message: Message, media: MediaStore, prefix: str, *, edited: bool, fetch: bool) -> list[Inbound]:
    """One message, in order: its words, then each of its files; empty when it holds nothing new.

    ``edited`` messages are corrections of words. Without ``fetch`` files are only named. What comes from a server is
    handed on without its content.
    """
    if message.guild_id is not None:
        return [] if edited else [_item(message, message.id)]
    if edited:
        return _correction(message)
    found = [file for snapshot in message.message_snapshots for file in snapshot.message.attachments]
    files = [*message.attachments, *found]
    if not files and (command := _COMMAND.match(message.content)):
        item = _item(message, message.id, (command[2] or "").strip())
        item.command = command[1].lower()
        return [item]
    words = _words(message)
    said = [_item(message, message.id, words)] if words else []
    sent = [_item(message, f"{message.id}.{number:02}") for number in range(1, len(files) + 1)]
    pairs = zip(sent, files, strict=True)
    await asyncio.gather(*(_settle(item, file, media if fetch else None, prefix) for item, file in pairs))
    return said + sent


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


def _words(message: Message) -> str:
    """The text, and in words what was sent that is neither text nor file."""
    parts = []
    if message.referenced_message and (quoted := _visible(message.referenced_message.content)):
        parts.append(f'(In answer to: "{quoted[:QUOTE_CHARS]}")')
    parts.extend(f'(The person sent a sticker named "{_shown(sticker.name)}".)' for sticker in message.sticker_items)
    parts.extend(FORWARDED + snapshot.message.content for snapshot in message.message_snapshots)
    parts.append(message.content)
    if not (message.content or message.attachments or message.sticker_items or message.message_snapshots):
        parts.append("(The person sent something that cannot be perceived here.)")
    return "\n".join(part for part in parts if part).strip()


async def _settle(item: Inbound, file: Attachment, media: MediaStore | None, prefix: str) -> None:
    """Fetch a file to the perception that claims its extension; what cannot be had is told in words."""
    extension = PurePosixPath(file.filename).suffix.lower()
    kind: PerceptionKind | None = EXTENSIONS.get(extension)
    voice = file.duration_secs is not None
    what = "a voice message" if voice else f'a file named "{_shown(file.filename)}"'
    if kind is None:
        known = ", ".join(EXTENSIONS)
        item.content = f"(The person sent {what}, which cannot be perceived: only {known} can. Tell them.)"
        return
    if media is None:
        item.content = f"(The person sent {what}, which was not fetched.)"
        return
    name = f"{prefix}-{item.key.replace('.', '-')}{extension}"
    try:
        await media.fetch(file, name)
    except NotFetchedError as error:
        size = f" of {file.size / 1_048_576:.1f} MB" if file.size else ""
        item.content = f"(The person sent {what}{size}, but it could not be taken: {error}. Tell them.)"
        return
    item.kind, item.media = kind, name
    item.title = "" if voice else _shown(file.filename)


def _shown(name: str) -> str:
    return _visible(name)[:NAME_CHARS]


def _visible(text: str) -> str:
    """One line."""
    return " ".join(text.split())
