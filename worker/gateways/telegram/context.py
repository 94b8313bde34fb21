"""What a Telegram message refers to: the message that it answers, or the author of a forward.

https://core.telegram.org/bots/api#message
"""

from __future__ import annotations

from typing import Final

from aiogram.types import (
    ExternalReplyInfo,
    Message,
    MessageOriginChannel,
    MessageOriginChat,
    MessageOriginHiddenUser,
    MessageOriginUser,
    PhotoSize,
    User,
)

from worker.gateways.common.attachments import Attachment, shown
from worker.gateways.common.context import Author, Quoted, forwarded, in_answer_to

THINGS: Final = {
    "photo": "a photo",
    "live_photo": "a live photo",
    "voice": "a voice message",
    "video_note": "a round video message",
    "video": "a video",
    "audio": "an audio file",
    "animation": "an animation",
    "document": "a file",
    "sticker": "a sticker",
    "story": "a story",
    "venue": "a place",
    "location": "a location",
    "contact": "a contact",
    "poll": "a poll",
    "dice": "a throw of the dice",
    "game": "a game",
    "invoice": "an invoice",
    "checklist": "a checklist",
    "paid_media": "a paid file",
    "giveaway": "a giveaway",
}
"""What a message can be besides text, by the field that it then has. An animation also has ``document``, a venue also
``location``, so the more particular field stands first."""


def context(message: Message, own_id: int) -> str:
    """Return the lines about a forward and a reply. ``own_id`` is this bot's."""
    lines = forwarded(_origin(message.forward_origin, message, own_id)) if message.forward_origin else ""
    return lines + _reply(message, own_id)


def quoted_photo(message: Message) -> Attachment | None:
    """Return the photo that a reply refers to, so that she can look at it again with the new words."""
    answered = message.reply_to_message or message.external_reply
    if answered is None or not answered.photo:
        return None
    return photo_of(answered.photo, "the photo that they refer to")


def photo_of(sizes: list[PhotoSize], noun: str) -> Attachment:
    """Return the largest size of a photo (https://core.telegram.org/bots/api#photosize)."""
    largest = max(sizes, key=lambda size: size.width * size.height)
    return Attachment(largest.file_id, "image/jpeg", "", largest.file_size, noun)


def _reply(message: Message, own_id: int) -> str:
    quote = message.quote.text if message.quote else ""
    if answered := message.reply_to_message:
        words = quote or answered.text or answered.caption or ""
        author = _user(answered.from_user, message, own_id)
        return in_answer_to(Quoted(author, words, _thing(answered), answered.date))
    if external := message.external_reply:
        return in_answer_to(Quoted(_origin(external.origin, message, own_id), quote, _thing(external)))
    if message.reply_to_story:
        return in_answer_to(Quoted(Author("other", message.reply_to_story.chat.full_name), "", "a story"))
    return in_answer_to(Quoted(Author("other"), quote))


def _origin(origin: object, message: Message, own_id: int) -> Author:
    """Return the author of a message from elsewhere (https://core.telegram.org/bots/api#messageorigin)."""
    match origin:
        case MessageOriginUser():
            return _user(origin.sender_user, message, own_id)
        case MessageOriginHiddenUser():
            return Author("other", origin.sender_user_name)
        case MessageOriginChat():
            return Author("other", origin.sender_chat.full_name)
        case MessageOriginChannel():
            return Author("other", origin.chat.full_name)
        case _:
            return Author("other")


def _user(user: User | None, message: Message, own_id: int) -> Author:
    if user is None:
        return Author("other")
    if user.id == own_id:
        return Author("she")
    if message.from_user and user.id == message.from_user.id:
        return Author("person")
    return Author("other", user.full_name)


def _thing(answered: Message | ExternalReplyInfo) -> str:
    field = next((name for name in THINGS if getattr(answered, name, None)), "")
    if field == "document" and answered.document and answered.document.file_name:
        return f'a file named "{shown(answered.document.file_name)}"'
    if field == "poll" and answered.poll:
        return f'the poll "{shown(answered.poll.question)}"'
    return THINGS.get(field, "")
