"""A persona's export: the lines of all channels in chronological order, one JSON object per line.

The lines of one channel on one day (UTC) are one conversation. Conversations with visitors of open channels are left
out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec

from proto.unicode_text import valid_json
from worker.history.forms import foreign
from worker.history.imported import HistoryError, Imported, Said, attached, conversation, joined
from worker.history.stream import JsonStream

MEMBERS: Final = re.compile(r"conversation\.jsonl")

MOST_LINES: Final = 2000
"""Further lines of the same channel and day begin another conversation."""

_DAY: Final = 86_400_000_000_000


class Channel(msgspec.Struct, frozen=True):
    """The channel of a line."""

    type: str = ""
    name: str = ""
    id: str = ""


class Record(msgspec.Struct):
    """One line as it is exported. ``at`` is in epoch nanoseconds; ``chat`` is one of possibly several on a channel.

    In exports of version 1, ``talk`` held both channel and chat.
    """

    role: Literal["person", "assistant"]
    content: str
    at: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    channel: Channel | str
    chat: str = ""
    talk: str = ""
    media: str | None = None
    title: str = ""
    perceived: str = ""
    notice: bool = False
    open: bool = False


_decoder = msgspec.json.Decoder(Record)


def talks(document: JsonStream) -> Iterator[Imported | None]:
    """Yield the conversations, and None for a line that cannot be read."""
    known, today = False, 0
    chats: dict[tuple[Channel | str, str, str], list[Record]] = {}
    for raw in document.lines():
        record = _record(raw, known=known)
        known = True
        if record is None:
            yield None
            continue
        if record.open:
            continue
        if record.at // _DAY != today:
            yield from map(_talk, chats.values())
            chats, today = {}, record.at // _DAY
        chat = (record.channel, record.chat, record.talk)
        lines = chats.setdefault(chat, [])
        lines.append(record)
        if len(lines) >= MOST_LINES:
            yield _talk(chats.pop(chat))
    yield from map(_talk, chats.values())


def _record(raw: bytes, *, known: bool) -> Record | None:
    """Decode a line, or return None if it has another form. Raises HistoryError when it is not JSON."""
    try:
        return _decoder.decode(valid_json(raw))
    except msgspec.ValidationError as error:
        if not known:
            raise foreign("personad", raw, str(error)) from None
        return None
    except (msgspec.DecodeError, RecursionError) as error:
        raise HistoryError(f"a line of it is not JSON: {error}") from None


def _talk(records: list[Record]) -> Imported | None:
    said = [Said(record.role, _words(record), record.at) for record in records if not record.notice]
    channel = records[0].channel
    place = channel if isinstance(channel, str) else channel.type
    day = datetime.fromtimestamp(records[0].at // 1_000_000_000, UTC)
    return conversation(f"{place}, {day.date().isoformat()}", 0, said)


def _words(record: Record) -> str:
    file = attached(record.title or record.media) if record.media else ""
    return joined((record.content, file, record.perceived))
