"""Telegram's updates as inbound messages: what was sent, to which perception it belongs, and which command it is."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from aiogram.enums import ChatType, MessageEntityType
from aiogram.types import Message, MessageEntity, PhotoSize, Update

from proto.gateways import Inbound
from proto.perception import EXTENSIONS
from worker.gateways.common.media import NotFetchedError
from worker.gateways.telegram.media import Attachment, MediaStore

CORRECTION: Final = "(The person corrected an earlier message. It now reads:)\n"
QUOTE_CHARS: Final = 200

_COMMAND: Final = re.compile(r"/([A-Za-z][A-Za-z0-9_]{0,31})(?:@(\w+))?\Z")
_TYPES: Final = {"audio/mpeg": ".mp3", "audio/mp4": ".m4a", "audio/x-m4a": ".m4a", "audio/flac": ".flac"}
"""Extensions of music that comes without a file name."""


class Draft(NamedTuple):
    """A message as far as it can be told without fetching its file."""

    inbound: Inbound
    attachment: Attachment | None = None
    note: str = ""
    """Words about the file that are told whether or not it can be fetched."""


def drafts(updates: list[Update], bot_name: str) -> list[Draft]:
    """The messages in these updates, in order; ``bot_name`` is this bot's user name."""
    made = (draft(update, bot_name) for update in updates)
    return [one for one in made if one]


def draft(update: Update, bot_name: str) -> Draft | None:
    """One update's message; None when it holds none."""
    message = update.message or update.edited_message
    if message is None:
        return None
    inbound = _envelope(update, message)
    if not inbound.private:
        return Draft(inbound)
    words = _with_links(message.text or message.caption or "", message.entities or message.caption_entities or [])
    if update.message and (command := _command(message, bot_name)):
        inbound.command, inbound.content = command, words.partition(" ")[2].strip()
        return Draft(inbound)
    attachment, note = _attachment(message)
    told = note if attachment is None else ""
    inbound.content = _context(message, edited=update.message is None) + "\n".join(
        part for part in (told, words) if part
    )
    return Draft(inbound, attachment, note)


async def settle(one: Draft, media: MediaStore, prefix: str) -> Inbound:
    """Fetch the draft's file; a message whose file cannot be had says so instead."""
    inbound, attachment, note = one
    if attachment is None:
        return inbound
    name = f"{prefix}-{inbound.key}-1{attachment.extension}"
    try:
        await media.fetch(attachment, name)
    except NotFetchedError as error:
        size = f" of {attachment.size / 1_048_576:.1f} MB" if attachment.size else ""
        inbound.content = _joined(
            f"(The person sent {attachment.what}{size}, but it could not be taken: {error}. Tell them.)",
            inbound.content,
        )
    else:
        inbound.kind, inbound.media, inbound.title = attachment.kind, name, attachment.title
        inbound.content = _joined(note, inbound.content)
    return inbound


def untaken(one: Draft, why: str = "") -> Inbound:
    """A message whose file is not wanted: it says what was sent, and ``why`` it was not fetched."""
    inbound, attachment, _ = one
    if attachment:
        reason = f": {why}. Tell them" if why else ""
        inbound.content = _joined(
            f"(The person sent {attachment.what}, which was not fetched{reason}.)", inbound.content
        )
    return inbound


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
    """The bot command that a message begins with; one for another bot is plain words."""
    entity = next(
        (e for e in message.entities or [] if e.type == MessageEntityType.BOT_COMMAND and e.offset == 0), None
    )
    found = _COMMAND.match((message.text or "")[: entity.length]) if entity else None
    if not found or (found[2] and found[2].lower() != bot_name.lower()):
        return None
    return found[1].lower()


def _attachment(message: Message) -> tuple[Attachment | None, str]:
    """The file to fetch, if any, and words about what was sent besides the text."""
    if message.photo:
        largest: PhotoSize = max(message.photo, key=lambda size: size.width * size.height)
        return Attachment(largest.file_id, "image", ".jpg", "a photo", largest.file_size), ""
    if voice := message.voice:
        return Attachment(voice.file_id, "audio", ".ogg", "a voice message", voice.file_size), ""
    if round_video := message.video_note:
        # An MP4 whose sound is what she can hear; .m4a is the same container.
        what = "a round video message"
        return Attachment(
            round_video.file_id, "audio", ".m4a", what, round_video.file_size
        ), f"(From {what}: its sound.)"
    if audio := message.audio:
        name = audio.file_name or f"music{_TYPES.get(audio.mime_type or '', '.mp3')}"
        return _file(audio.file_id, name, audio.file_size, "an audio file")
    if message.animation:
        return None, "(The person sent an animation, which cannot be perceived.)"
    if document := message.document:
        return _file(document.file_id, document.file_name or "", document.file_size, "a file")
    return None, _described(message)


def _file(file_id: str, name: str, size: int | None, what: str) -> tuple[Attachment | None, str]:
    """A named file goes to the perception that claims its extension, by the perception table."""
    extension = PurePosixPath(name).suffix.lower()
    shown = f'{what} named "{_visible(name)[:100]}"' if name else what
    kind = EXTENSIONS.get(extension)
    if kind is None:
        known = ", ".join(EXTENSIONS)
        return None, f"(The person sent {shown}, which cannot be perceived: only {known} can. Tell them.)"
    return Attachment(file_id, kind, extension, shown, size, _visible(name)[:100]), ""


def _described(message: Message) -> str:
    """What was sent besides text, in words."""
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
    """What the words refer to: an earlier message, somebody else's words, a correction."""
    lines = CORRECTION if edited else ""
    if message.forward_origin:
        lines += "(Forwarded; these are not the person's own words:)\n"
    if message.quote or message.reply_to_message:
        answered = message.reply_to_message
        quoted = message.quote.text if message.quote else (answered and (answered.text or answered.caption)) or ""
        if quoted:
            lines += f'(In answer to: "{_visible(quoted)[:QUOTE_CHARS]}")\n'
    return lines


def _with_links(text: str, entities: list[MessageEntity]) -> str:
    """Show the addresses behind linked words; offsets are in UTF-16 units (Bot API, MessageEntity)."""
    units = text.encode("utf-16-le")
    for entity in sorted(entities, key=lambda entity: entity.offset, reverse=True):
        if entity.type == MessageEntityType.TEXT_LINK and entity.url:
            end = 2 * (entity.offset + entity.length)
            units = units[:end] + f" ({entity.url})".encode("utf-16-le") + units[end:]
    return units.decode("utf-16-le", "replace")


def _joined(note: str, words: str) -> str:
    return "\n".join(part for part in (note, words) if part)


def _visible(text: str) -> str:
    """One line."""
    return " ".join(text.split())
