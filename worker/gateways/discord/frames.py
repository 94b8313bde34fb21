"""What of Discord's gateway frames and messages is of use here; everything else in them is skipped unread."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

EPOCH: Final = 1_420_070_400_000
"""Discord's first millisecond since 1970, from which its ids count (https://discord.com/developers/docs/reference#snowflakes)."""

HUMAN: Final = frozenset({0, 19})
"""Types of messages that people write: plain ones and replies."""


class Account(msgspec.Struct):
    """Who wrote a message."""

    id: str
    username: str = ""
    bot: bool = False


class UploadedFile(msgspec.Struct):
    """A file of a message; only voice messages, which are Ogg, have ``duration_secs``
    (https://discord.com/developers/docs/resources/message#attachment-object)."""

    url: str
    filename: str = ""
    size: int = 0
    duration_secs: float | None = None


class Sticker(msgspec.Struct):
    """A sticker of a message."""

    name: str = ""


class Quoted(msgspec.Struct):
    """The message that is replied to."""

    content: str = ""


class Forwarded(msgspec.Struct):
    """Somebody else's message inside a forward."""

    content: str = ""
    attachments: list[UploadedFile] = []


class Snapshot(msgspec.Struct):
    """The wrapping of a forwarded message."""

    message: Forwarded


class Bare(msgspec.Struct):
    """A message by its text alone."""

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
        """The id, which grows with time."""
        return int(self.id)

    @property
    def key(self) -> str:
        """What makes it this message; an edit has the number of its moment, so that keys keep the order of time."""
        if self.edited_timestamp is None:
            return self.id
        return f"{max(self.number, moment_number(self.edited_timestamp))}.e{self.id}"


class Message(Bare):
    """A message with what comes with it."""

    attachments: list[UploadedFile] = []
    sticker_items: list[Sticker] = []
    message_snapshots: list[Snapshot] = []
    referenced_message: Quoted | None = None


class Frame(msgspec.Struct):
    """A gateway frame: opcode, data, and the event's name if it is one."""

    op: int
    d: msgspec.Raw = msgspec.Raw(b"null")
    t: str | None = None


class Ready(msgspec.Struct):
    """The beginning of a session."""

    user: Account


def read_message(raw: object) -> Message:
    """A message from JSON text or its decoded form; one with odd parts is read by its text alone.

    Raises msgspec.ValidationError or ValueError for what is no message.
    """
    data: Any = msgspec.json.decode(raw) if isinstance(raw, msgspec.Raw) else raw
    try:
        found = msgspec.convert(data, Message)
    except msgspec.ValidationError:
        bare = msgspec.convert(data, Bare)
        found = Message(**msgspec.structs.asdict(bare))
    int(found.id)
    return found


def moment_number(moment: datetime) -> int:
    """The smallest id of a moment."""
    return (int(moment.timestamp() * 1000) - EPOCH) << 22


def nanoseconds(number: int) -> int:
    """The moment of an id, since 1970."""
    return ((number >> 22) + EPOCH) * 1_000_000
