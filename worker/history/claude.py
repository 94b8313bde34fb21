"""Claude's export: conversations, what Claude itself remembers of the person, and projects.

Each conversation is a list of messages, whose text is one string (older) or in blocks (newer). Since September 2026
each of the three comes as numbered archives, beside a manifest that names them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from worker.history.forms import foreign, source_of
from worker.history.imported import (
    LINE_CHARS,
    TITLE_CHARS,
    Imported,
    Role,
    Said,
    Stamp,
    attached,
    conversation,
    from_stamp,
    joined,
)
from worker.history.stream import JsonStream

MEMBERS: Final = re.compile(
    r"(?:conversations|memories|projects)(?:-\d+)?\.json|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.json"
)
"""A project is a file of its own, named by its id."""

_MEMORY: Final = "What Claude remembers"


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


class Document(msgspec.Struct):
    """A document of a project."""

    filename: str | None = None
    content: str | None = None


class Record(msgspec.Struct):
    """One conversation, one project, or all memories; the fields tell which."""

    chat_messages: list[Message] | None = None
    name: str | None = None
    title: str | None = None
    created_at: Stamp = None

    conversations_memory: str | None = None
    project_memories: dict[str, str | None] | None = None

    description: str | None = None
    prompt_template: str | None = None
    docs: list[Document] | None = None

    @property
    def is_known(self) -> bool:
        """Whether it is one of the three."""
        parts = (self.chat_messages, self.conversations_memory, self.project_memories, self.prompt_template, self.docs)
        return any(part is not None for part in parts)


_decoder = msgspec.json.Decoder(Record)


def talks(document: JsonStream) -> Iterator[Imported | None]:
    """Yield the conversations, or None for a record that has no text or cannot be read.

    Raises ForeignError when the first record is none of Claude's.
    """
    known = False
    for raw in document.values():
        try:
            record = _decoder.decode(raw)
        except msgspec.ValidationError as error:
            if not known and source_of(raw) != "claude":
                raise foreign("claude", raw, str(error)) from None
            yield None
        else:
            if not known and not record.is_known:
                raise foreign("claude", raw, _UNKNOWN)
            yield from _talks(record)
        known = True


_UNKNOWN: Final = (
    "it holds no conversations, memories or projects. If it is the manifest of an export, feed the archives that it "
    "names, one after the other"
)


def _talks(record: Record) -> Iterator[Imported | None]:
    if record.chat_messages is not None:
        said = filter(None, map(_said, record.chat_messages))
        yield conversation(record.name or record.title, from_stamp(record.created_at), said)
    elif record.conversations_memory is not None or record.project_memories is not None:
        yield _noted(_MEMORY, "assistant", (record.conversations_memory,))
        for text in (record.project_memories or {}).values():
            yield _noted(f"{_MEMORY} of a project", "assistant", (text,))
    elif record.is_known:
        title = f"Project: {(record.name or 'without a name')[:TITLE_CHARS]}"
        documents = [attached(one.filename or "", one.content or "") for one in record.docs or ()]
        yield _noted(title, "person", (record.description, record.prompt_template, *documents), record.created_at)
    else:
        yield None


def _noted(title: str, role: Role, texts: Iterable[str | None], created: Stamp = None) -> Imported | None:
    """Return texts that nobody said in a conversation as one, its title above them; a long one in several lines."""
    text = joined(texts)
    if not text:
        return None
    room = LINE_CHARS - len(title) - 3
    parts = [text[at : at + room] for at in range(0, len(text), room)]
    at = from_stamp(created)
    return conversation(title, at, [Said(role, f"({title})\n{part}", at) for part in parts])


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
