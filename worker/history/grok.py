"""Grok's exports: the account's archive, the same without its wrapper, and responses of the web client's API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

from worker.history.forms import conversations_of
from worker.history.imported import IMAGE, Imported, Said, Stamp, attached, conversation, from_stamp, joined
from worker.history.stream import JsonStream

MEMBERS: Final = re.compile(r".+\.json")


class Long(msgspec.Struct):
    """A 64-bit number in MongoDB's extended JSON."""

    number: str = msgspec.field(name="$numberLong")


class Date(msgspec.Struct):
    """A time in MongoDB's extended JSON: milliseconds, or ISO 8601."""

    date: Long | str | float = msgspec.field(name="$date")


Moment: TypeAlias = float | str | Date | None


class File(msgspec.Struct):
    """A file beside a message."""

    name: str | None = msgspec.field(default=None, name="fileName")


class Response(msgspec.Struct):
    """One message. The web client's API names its fields in camel case."""

    sender: str | None = None
    message: str | None = None
    create_time: Moment = None
    created: Moment = msgspec.field(default=None, name="createTime")
    files: list[File] | None = msgspec.field(default=None, name="fileAttachmentsMetadata")
    images: list[str] | None = msgspec.field(default=None, name="generatedImageUrls")
    response: Response | None = None
    """In the archive the message itself is one level deeper."""


class Responses(msgspec.Struct):
    """The wrapper around the messages in the web client's API."""

    responses: list[Response]


class Head(msgspec.Struct):
    """The header of a conversation."""

    title: str | None = None
    create_time: Moment = None
    created: Moment = msgspec.field(default=None, name="createTime")


class Record(msgspec.Struct):
    """One conversation as it is exported."""

    responses: list[Response] | Responses
    conversation: Head = msgspec.field(default_factory=Head)


_decoder = msgspec.json.Decoder(Record)


def talks(document: JsonStream) -> Iterator[Imported | None]:
    """Yield the conversations, or None for one that has no text or cannot be read."""
    return conversations_of("grok", document.values("conversations"), _decoder, _talks)


def _talks(record: Record) -> Iterator[Imported | None]:
    yield _talk(record)


def _talk(record: Record) -> Imported | None:
    responses = record.responses.responses if isinstance(record.responses, Responses) else record.responses
    head = record.conversation
    said = filter(None, (_said(item.response or item) for item in responses))
    return conversation(head.title, _at(head.create_time or head.created), said)


def _said(response: Response) -> Said | None:
    at = _at(response.create_time or response.created)
    files = (attached(file.name or "") for file in response.files or ())
    images = (IMAGE for _ in response.images or ())
    words = joined((response.message, *files, *images))
    match (response.sender or "").casefold():
        case "human" | "user":
            return Said("person", words, at)
        case "assistant":
            return Said("assistant", words, at)
        case _:
            return None


def _at(moment: Moment) -> int:
    return from_stamp(_stamp(moment))


def _stamp(moment: Moment) -> Stamp:
    if not isinstance(moment, Date):
        return moment
    if isinstance(moment.date, str):
        return moment.date
    if isinstance(moment.date, Long):
        return int(moment.date.number) / 1000 if re.fullmatch(r"\d{1,15}", moment.date.number) else None
    return moment.date / 1000
