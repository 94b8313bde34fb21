"""Turns Telegram's updates into inbound messages: text, the file to fetch, and bot commands.

https://core.telegram.org/bots/api#update
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from aiogram.enums import ChatType, MessageEntityType
from aiogram.types import Message, MessageEntity, PhotoSize, Update

from proto.gateways import Inbound
from proto.perception import FORWARDED
from worker.gateways.common.attachments import Attachment, joined

CORRECTION: Final = "(The person corrected an earlier message. It now reads:)\n"
QUOTE_CHARS: Final = 200

_COMMAND: Final = re.compile(r"/([A-Za-z][A-Za-z0-9_]{0,31})(?:@(\w+))?\Z")
_TYPES: Final = {"audio/mpeg": ".mp3", "audio/mp4": ".m4a", "audio/x-m4a": ".m4a", "audio/flac": ".flac"}
"""Extensions of audio files that come without a file name."""


class Draft(NamedTuple):
    """A message whose file is not fetched yet."""

    inbound: Inbound
    file: Attachment | None = None


def drafts(updates: list[Update], bot_name: str) -> list[Draft]:
    """Return the messages in these updates, in order. ``bot_name`` is this bot's user name."""
    made = (draft(update, bot_name) for update in updates)
    return [one for one in made if one]


def draft(update: Update, bot_name: str) -> Draft | None:
    """Return one update's message, None if it has none."""
    message = update.message or update.edited_message
    if message is None:
        return None
    inbound = _envelope(update, message)
    if not inbound.private:
        return Draft(inbound)
    text = _with_links(message.text or message.caption or "", message.entities or message.caption_entities or [])
    if update.message and (command := _command(message, bot_name)):
        inbound.command, inbound.content = command, text.partition(" ")[2].strip()
        return Draft(inbound)
    file, described = _contents(message)
    inbound.content = _context(message, edited=update.message is None) + joined(described, text)
    return Draft(inbound, file)


def _envelope(update: Update, message: Message) -> Inbound:
    sender = message.from_user
    name = (sender.username or sender.full_name) if sender else (message.chat.title or "")
    seconds = message.edit_date if update.message is None and message.edit_date else message.date.timestamp()
    return Inbound(
        key=str(update.update_id),
        account=str(sender.id if sender else message.chat.id),
        account_name=_visible(name)[:128],
        chat=str(message.chat.id),
        private=message.chat.type == ChatType.PRIVATE and sender is not None,
        kind="text",
        content="",
        at=int(seconds) * 1_000_000_000,
    )


def _command(message: Message, bot_name: str) -> str | None:
    """Return the bot command at the start of a message. A command for another bot is plain text.

    https://core.telegram.org/bots/features#commands
    """
    entity = next(
        (e for e in message.entities or [] if e.type == MessageEntityType.BOT_COMMAND and e.offset == 0), None
    )
    found = _COMMAND.match((message.text or "")[: entity.length]) if entity else None
    if not found or (found[2] and found[2].lower() != bot_name.lower()):
        return None
    return found[1].lower()


def _contents(message: Message) -> tuple[Attachment | None, str]:
    """Return the file that was sent, if any, else a description of anything else besides text."""
    if message.photo:
        largest: PhotoSize = max(message.photo, key=lambda size: size.width * size.height)
        return Attachment(largest.file_id, "image/jpeg", "", largest.file_size, "a photo"), ""
    if voice := message.voice:
        return Attachment(voice.file_id, "audio/ogg", "", voice.file_size, "a voice message"), ""
    if round_video := message.video_note:
        # It is an MP4 file; she can only hear its sound.
        noun = "a round video message"
        note = f"(From {noun}: its sound.)"
        return Attachment(round_video.file_id, "audio/mp4", "", round_video.file_size, noun, note), ""
    if audio := message.audio:
        name = audio.file_name or f"music{_TYPES.get(audio.mime_type or '', '.mp3')}"
        return Attachment(audio.file_id, "", name, audio.file_size, "an audio file"), ""
    if message.animation:
        return None, "(The person sent an animation, which cannot be perceived.)"
    if document := message.document:
        return Attachment(document.file_id, "", document.file_name or "", document.file_size), ""
    return None, _described(message)


def _described(message: Message) -> str:
    """Describe what was sent besides text."""
    if message.text or message.caption:
        return _unseen(message) if message.caption else ""
    if sticker := message.sticker:
        return f"(The person sent a sticker{f' that stands for {sticker.emoji}' if sticker.emoji else ''}.)"
    if venue := message.venue:
        place = f"{venue.title}, {venue.address}"
        return f"(The person sent a place: {place}, {venue.location.latitude}, {venue.location.longitude}.)"
    if location := message.location:
        return f"(The person sent a location: latitude {location.latitude}, longitude {location.longitude}.)"
    if contact := message.contact:
        name = " ".join(part for part in (contact.first_name, contact.last_name) if part)
        return f"(The person sent a contact: {name}, {contact.phone_number}.)"
    if poll := message.poll:
        options = "; ".join(option.text for option in poll.options)
        return f"(The person sent a poll: {poll.question} Options: {options}.)"
    if dice := message.dice:
        return f"(The person threw {dice.emoji}: {dice.value}.)"
    return _unseen(message)


def _unseen(message: Message) -> str:
    what = str(getattr(message.content_type, "value", message.content_type)).replace("_", " ")
    return f"(The person sent something that cannot be perceived here: {what}.)"


def _context(message: Message, *, edited: bool) -> str:
    """Describe the context of the text: a correction, a forward, a reply."""
    lines = CORRECTION if edited else ""
    if message.forward_origin:
        lines += f"{FORWARDED}\n"
    if message.quote or message.reply_to_message:
        answered = message.reply_to_message
        quoted = message.quote.text if message.quote else (answered and (answered.text or answered.caption)) or ""
        if quoted:
            lines += f'(In answer to: "{_visible(quoted)[:QUOTE_CHARS]}")\n'
    return lines


def _with_links(text: str, entities: list[MessageEntity]) -> str:
    """Write the address behind each link after it; offsets are in UTF-16 units.

    https://core.telegram.org/bots/api#messageentity
    """
    units = text.encode("utf-16-le")
    for entity in sorted(entities, key=lambda entity: entity.offset, reverse=True):
        if entity.type == MessageEntityType.TEXT_LINK and entity.url:
            end = 2 * (entity.offset + entity.length)
            units = units[:end] + f" ({entity.url})".encode("utf-16-le") + units[end:]
    return units.decode("utf-16-le", "replace")


def _visible(text: str) -> str:
    """Return the text as one line."""
    return " ".join(text.split())
