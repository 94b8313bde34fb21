"""The parts of Discord's gateway frames and messages that we use; all other fields are skipped."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from worker.gateways.common.reading import LATEST

EPOCH: Final = 1_420_070_400_000
"""Discord's epoch, from which its ids count, in milliseconds since 1970
(https://discord.com/developers/docs/reference#snowflakes)."""

_ID: Final = re.compile(r"[0-9]{1,20}\Z")
_BITS: Final = 64

HUMAN: Final = frozenset({0, 19})
"""Types of messages that people write: plain messages and replies
(https://discord.com/developers/docs/resources/message#message-object-message-types)."""


class Account(msgspec.Struct):
    """Who wrote a message."""

    id: str
    username: str = ""
    bot: bool = False


class UploadedFile(msgspec.Struct):
    """A file of a message. Only voice messages, which are Ogg files, have ``duration_secs``
    (https://discord.com/developers/docs/resources/message#attachment-object)."""

    url: str
    filename: str = ""
    size: int = 0
    duration_secs: float | None = None
    content_type: str | None = None


class Sticker(msgspec.Struct):
    """A sticker of a message."""

    name: str = ""


class Answered(msgspec.Struct):
    """The message that is replied to."""

    id: str = ""
    author: Account | None = None
    content: str = ""
    attachments: list[UploadedFile] = []
    sticker_items: list[Sticker] = []


class Forwarded(msgspec.Struct):
    """Somebody else's message inside a forward."""

    content: str = ""
    attachments: list[UploadedFile] = []


class Snapshot(msgspec.Struct):
    """The wrapper of a forwarded message
    (https://discord.com/developers/docs/resources/message#message-snapshot-object)."""

    message: Forwarded


class Bare(msgspec.Struct):
    """A message with its text only."""

    id: str
    channel_id: str
    author: Account | None = None
    content: str = ""
    type: int = 0
    guild_id: str | None = None
    webhook_id: str | None = None
    edited_timestamp: datetime | None = None

    @property
    def number(self) -> int:
        """The id as a number, which grows with time."""
        return int(self.id)

    @property
    def key(self) -> str:
        """The message's unique key. An edit's key begins with the time of the edit, so that keys sort by time."""
        return self.id if self.edited_timestamp is None else f"{self.edited}.e{self.id}"

    @property
    def edited(self) -> int:
        """The id that could have been made when the message was last edited."""
        return max(self.number, moment_number(self.edited_timestamp) if self.edited_timestamp else 0)


class Message(Bare):
    """A message with its attachments, stickers, forwards and quoted message."""

    attachments: list[UploadedFile] = []
    sticker_items: list[Sticker] = []
    message_snapshots: list[Snapshot] = []
    referenced_message: Answered | None = None


class Frame(msgspec.Struct):
    """A gateway frame: the opcode, the data, and the name if it is an event."""

    op: int
    d: msgspec.Raw = msgspec.Raw(b"null")
    t: str | None = None


class Ready(msgspec.Struct):
    """The beginning of a session."""

    user: Account


def read_message(raw: object) -> Message:
    """Parse a message from JSON text or from decoded JSON; if some parts are unexpected, only its text.

    Raises msgspec.ValidationError or ValueError if it is not a message.
    """
    try:
        data: Any = msgspec.json.decode(raw) if isinstance(raw, msgspec.Raw) else raw
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    try:
        found = msgspec.convert(data, Message)
    except msgspec.ValidationError:
        bare = msgspec.convert(data, Bare)
        found = Message(**msgspec.structs.asdict(bare))
    if not is_id(found.id) or not is_id(found.channel_id) or (found.author and not is_id(found.author.id)):
        raise ValueError("an id is no id of Discord's")
    return found


def is_id(text: str) -> bool:
    """Whether this is an id: a number of 64 bits."""
    return bool(_ID.match(text)) and int(text) < 1 << _BITS


def moment_number(moment: datetime) -> int:
    """Return the smallest id that could be made at this moment, 0 if none could be."""
    try:
        milliseconds = int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0
    return (milliseconds - EPOCH) << 22 if EPOCH <= milliseconds < LATEST * 1000 else 0


def nanoseconds(number: int) -> int:
    """Return when an id was made, in nanoseconds since 1970."""
    return ((number >> 22) + EPOCH) * 1_000_000


def moment_of(number: int) -> datetime:
    """Return when an id was made."""
    return datetime.fromtimestamp(((number >> 22) + EPOCH) / 1000, UTC)
