"""Turns Telegram's updates into inbound messages: text, the file to fetch, and bot commands.

https://core.telegram.org/bots/api#update
"""

from __future__ import annotations

import re
import time
from typing import Final, Literal, NamedTuple

from aiogram.enums import ChatType, ContentType, MessageEntityType
from aiogram.types import Message, MessageEntity, MessageGenerationStopped, Update

from proto.gateways import Inbound, Revision, digest
from worker.gateways.common.account import Identity
from worker.gateways.common.attachments import Attachment, joined
from worker.gateways.common.context import CORRECTION, one_line
from worker.gateways.common.reading import nanoseconds
from worker.gateways.telegram.context import THINGS, context, photo_of, quoted_photo

_COMMAND: Final = re.compile(r"/([A-Za-z][A-Za-z0-9_]{0,31})(?:@(\w+))?\Z")
_TYPES: Final = {"audio/mpeg": ".mp3", "audio/mp4": ".m4a", "audio/x-m4a": ".m4a", "audio/flac": ".flac"}
"""Extensions of audio files that come without a file name."""

EDITABLE: Final = 49 * 3600
"""Seconds for which a message can be edited, and an hour more (``edit_time_limit`` in
https://core.telegram.org/constructor/config)."""

SERVICE: Final = frozenset(ContentType) - {*THINGS, "text", "rich_message", "unknown"}
"""Kinds of messages that Telegram writes in a person's name, such as that one was pinned: nobody said anything. A kind
that aiogram does not know may be a person's, so it is not one of them."""


class Draft(NamedTuple):
    """A message whose file is not fetched yet."""

    inbound: Inbound
    file: Attachment | None = None


def drafts(updates: list[Update], bot: Identity) -> list[Draft]:
    """Return the messages in these updates, in order. ``bot`` is this bot."""
    made = (draft(update, bot) for update in updates)
    return [one for one in made if one]


def draft(update: Update, bot: Identity) -> Draft | None:
    """Return one update's message, None if nobody wrote one."""
    if update.stopped_message_generation:
        return Draft(_stopped(update.update_id, update.stopped_message_generation))
    message = update.message or update.edited_message
    if message is None or message.content_type in SERVICE or _is_late(update, message):
        return None
    inbound = _envelope(update, message)
    if not inbound.private:
        return Draft(inbound)
    text = _with_links(message.text or message.caption or "", message.entities or message.caption_entities or [])
    file, described = _contents(message)
    said = joined(described, text)
    inbound.revision = _revision(update, message, said)
    if update.message and (command := _command(message, bot.name)):
        inbound.command, inbound.content = command, text.partition(" ")[2].strip()
        return Draft(inbound)
    correction = CORRECTION if inbound.revision.edit == "correction" else ""
    inbound.content = correction + context(message, int(bot.id or 0)) + said
    return Draft(inbound, file or quoted_photo(message))


def _stopped(number: int, stopped: MessageGenerationStopped) -> Inbound:
    """Return the command that the button below a draft stands for. A private chat's id is its person's.

    https://core.telegram.org/bots/api#messagegenerationstopped
    """
    topic = f":{stopped.message_thread_id}" if stopped.message_thread_id else ""
    return Inbound(
        key=str(number),
        account=str(stopped.chat.id),
        account_name=one_line(stopped.chat.username or stopped.chat.full_name)[:128],
        chat=f"{stopped.chat.id}{topic}",
        private=stopped.chat.type == ChatType.PRIVATE,
        kind="text",
        content="",
        at=time.time_ns(),
        command="hush",
    )


def _revision(update: Update, message: Message, said: str) -> Revision:
    """Say which message this is. A location is edited only because its person moves, so its edits are steps.

    https://core.telegram.org/bots/api#location
    """
    edit: Literal["correction", "step"] | None = None
    if update.message is None:
        edit = "step" if message.location else "correction"
    return Revision(str(message.message_id), digest(said), _file(message), edit)


def _file(message: Message) -> str:
    """Return the id of the message's file that is the same over time, as a digest; "" without a file."""
    kinds = (message.voice, message.video_note, message.video, message.audio, message.animation, message.document)
    files = [file.file_unique_id for file in (*(message.photo or ()), *kinds, message.sticker) if file]
    return digest(" ".join(files)) if files else ""


def _is_late(update: Update, message: Message) -> bool:
    """Whether this edit comes too late to be a person's: then Telegram reports a change that nobody sees."""
    if update.message is not None or message.location or not message.edit_date:
        return False
    return message.edit_date - message.date.timestamp() > EDITABLE


def _envelope(update: Update, message: Message) -> Inbound:
    sender = message.from_user
    name = (sender.username or sender.full_name) if sender else (message.chat.title or "")
    seconds = message.edit_date if update.message is None and message.edit_date else message.date.timestamp()
    return Inbound(
        key=str(update.update_id),
        account=str(sender.id if sender else message.chat.id),
        account_name=one_line(name)[:128],
        chat=_place(message),
        # Two bots that answer each other would never end (https://core.telegram.org/api/bots/bot-to-bot).
        private=message.chat.type == ChatType.PRIVATE and sender is not None and not sender.is_bot,
        kind="text",
        content="",
        at=nanoseconds(str(int(seconds))),
    )


def _place(message: Message) -> str:
    """Return the chat, or the topic in a private chat (https://core.telegram.org/bots/api#message)."""
    private = message.chat.type == ChatType.PRIVATE
    if private and message.is_topic_message and message.message_thread_id:
        return f"{message.chat.id}:{message.message_thread_id}"
    return str(message.chat.id)


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
        return photo_of(message.photo, "a photo"), ""
    if voice := message.voice:
        return Attachment(voice.file_id, "audio/ogg", "", voice.file_size, "a voice message"), ""
    if video := message.video_note or message.video:
        # It is an MP4 file; she can only hear its sound.
        noun = "a round video message" if message.video_note else "a video"
        note = f"(From {noun}: its sound.)"
        return Attachment(video.file_id, "audio/mp4", "", video.file_size, noun, note), ""
    if audio := message.audio:
        name = audio.file_name or f"music{_TYPES.get(audio.mime_type or '', '.mp3')}"
        return Attachment(audio.file_id, audio.mime_type or "", name, audio.file_size, "an audio file"), ""
    if message.animation:
        return None, "(The person sent an animation, which cannot be perceived.)"
    if document := message.document:
        kind, name = document.mime_type or "", document.file_name or ""
        return Attachment(document.file_id, kind, name, document.file_size), ""
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
        if message.edit_date:
            place = f"latitude {location.latitude}, longitude {location.longitude}"
            if location.live_period:
                return f"(The person's live location is now: {place}.)"
            return f"(The person no longer shares their live location. It was last: {place}.)"
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
