"""What the parsers share: recognizing a record's source, and reading records that are one conversation each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import msgspec

from proto.feeds import Source
from proto.unicode_text import valid_json
from worker.history.imported import ForeignError, Imported
from worker.prompting.origin import LABELS

T = TypeVar("T")


_ABSENT: Final = msgspec.Raw(b"null")


class Marks(msgspec.Struct):
    """Fields that identify the source of an export's first record."""

    mapping: msgspec.Raw = _ABSENT
    chat_messages: msgspec.Raw = _ABSENT
    conversations_memory: msgspec.Raw = _ABSENT
    prompt_template: msgspec.Raw = _ABSENT
    conversations: msgspec.Raw = _ABSENT
    responses: msgspec.Raw = _ABSENT
    chunked_prompt: msgspec.Raw = msgspec.field(default=_ABSENT, name="chunkedPrompt")
    session: msgspec.Raw = msgspec.field(default=_ABSENT, name="sessionId")
    header: msgspec.Raw = _ABSENT
    channel: msgspec.Raw = _ABSENT


_MARKED: Final[tuple[tuple[str, Source], ...]] = (
    ("mapping", "chatgpt"),
    ("chat_messages", "claude"),
    ("conversations_memory", "claude"),
    ("prompt_template", "claude"),
    ("conversations", "grok"),
    ("responses", "grok"),
    ("chunked_prompt", "gemini"),
    ("session", "gemini"),
    ("header", "gemini"),
    ("channel", "personad"),
)

_marks = msgspec.json.Decoder(Marks)


def source_of(record: bytes) -> Source | None:
    """Return the source of a record, or None if it is unknown."""
    try:
        marks = _marks.decode(valid_json(record))
    except (msgspec.DecodeError, RecursionError):
        return None
    return next((source for field, source in _MARKED if bytes(getattr(marks, field)) != b"null"), None)


def foreign(source: Source, record: bytes, why: str) -> ForeignError:
    """Return the error for a file that is not an export of ``source``."""
    if (actual := source_of(record)) and actual != source:
        return ForeignError(
            f"it is an export of {LABELS[actual]}, not of {LABELS[source]}: name {actual} as its source"
        )
    return ForeignError(f"it is no export of {LABELS[source]}: {why}")


def conversations_of(
    source: Source,
    records: Iterator[bytes],
    decoder: msgspec.json.Decoder[T],
    talks: Callable[[T], Iterator[Imported | None]],
) -> Iterator[Imported | None]:
    """Yield the conversations in each record, or None for one that cannot be read.

    Raises ForeignError when the first record does not come from the source.
    """
    known = False
    for raw in records:
        try:
            record = decoder.decode(raw)
        except msgspec.ValidationError as error:
            if not known and source_of(raw) != source:
                raise foreign(source, raw, str(error)) from None
            yield None
        else:
            yield from talks(record)
        known = True
