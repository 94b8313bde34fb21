"""Claude's export: each conversation is a list of messages, whose text is one string (older) or in blocks (newer)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from worker.history.forms import conversations_of
from worker.history.imported import Imported, Said, Stamp, attached, conversation, from_stamp, joined
from worker.history.stream import JsonStream

MEMBERS: Final = re.compile(r"conversations(?:-\d+)?\.json")


class Block(msgspec.Struct):
    """A block of a message: its text, or something that is not part of the text, such as reasoning or a tool call."""

    type: str | None = None
    text: str | None = None


class Attachment(msgspec.Struct):
    """A file that the person sent, with the text extracted from it."""

    file_name: str | None = None
    extracted_content: str | None = None


class Message(msgspec.Struct):
    """One message."""

    sender: str | None = None
    text: str | None = None
    content: list[Block] | None = None
    created_at: Stamp = None
    attachments: list[Attachment] | None = None
    files: list[Attachment] | None = None


class Record(msgspec.Struct):
    """One conversation as it is exported."""

    chat_messages: list[Message]
    name: str | None = None
    title: str | None = None
    created_at: Stamp = None


_decoder = msgspec.json.Decoder(Record)


def talks(document: JsonStream) -> Iterator[Imported | None]:
    """Yield the conversations, or None for one that has no text or cannot be read."""
    return conversations_of("claude", document.values(), _decoder, _talk)


def _talk(record: Record) -> Imported | None:
    said = filter(None, map(_said, record.chat_messages))
    return conversation(record.name or record.title, from_stamp(record.created_at), said)


def _said(message: Message) -> Said | None:
    at = from_stamp(message.created_at)
    match message.sender:
        case "human":
            return Said("person", joined((_words(message), *_files(message))), at)
        case "assistant":
            return Said("assistant", _words(message), at)
        case _:
            return None


def _words(message: Message) -> str:
    """Return a message's text. Blocks are preferred, because ``text`` also mentions blocks that it cannot show."""
    blocks = joined(block.text for block in message.content or () if block.type == "text")
    return blocks or ("" if message.content else joined((message.text,)))


def _files(message: Message) -> Iterator[str]:
    named = set()
    for file in message.attachments or ():
        named.add(file.file_name)
        yield attached(file.file_name or "", file.extracted_content or "")
    for file in message.files or ():
        if file.file_name not in named:
            yield attached(file.file_name or "")
