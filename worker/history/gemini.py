"""Gemini's exports: Takeout's My Activity, AI Studio's prompts in Drive, and sessions of the command line tool.

My Activity has no conversations: every prompt is an entry with its answer in HTML, the newest first, among entries of
other products. It comes as JSON, or as a web page. Prompts at most an hour apart are taken for one conversation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from typing import Final

import msgspec

from worker.history.activity_page import ActivityPage, Entry
from worker.history.forms import foreign
from worker.history.imported import (
    IMAGE,
    ForeignError,
    HistoryError,
    Imported,
    Said,
    Stamp,
    attached,
    conversation,
    from_stamp,
    joined,
)
from worker.history.markup import plain_text
from worker.history.stream import JsonStream

MEMBERS: Final = re.compile(r".+\.json|.+\.html|[^.]+")
"""AI Studio's files in Drive have no extension."""

GAP: Final = 3600 * 1_000_000_000
MOST_TURNS: Final = 200
MOST_CHARS: Final = 1_000_000
"""Limits of one conversation in My Activity; a longer one is split."""

TITLE_CHARS: Final = 60

_PROMPTED: Final = re.compile(r"Prompted[ \xa0]|Eingegebener Prompt:[ \xa0]")
_OTHER_ACTIONS: Final = re.compile(r"(?:Gave feedback|Created|Used|Selected)\b")

LEARNED: Final = 40
LEARNED_BYTES: Final = 4_000_000
"""How many entries are looked at for what My Activity calls a prompt in the person's language, and their size."""

ALIKE: Final = 0.8
"""The share of answered entries that begin with it, at least three of them."""

_PRODUCT: Final = re.compile(r"\b(?:Gemini|Bard)\b", re.IGNORECASE)


class Html(msgspec.Struct):
    """An answer."""

    html: str | None = None


class Chunk(msgspec.Struct):
    """A message of AI Studio."""

    role: str | None = None
    text: str | None = None
    thought: bool | None = msgspec.field(default=None, name="isThought")
    image: msgspec.Raw = msgspec.field(default=msgspec.Raw(b""), name="driveImage")
    document: msgspec.Raw = msgspec.field(default=msgspec.Raw(b""), name="driveDocument")
    create_time: Stamp = msgspec.field(default=None, name="createTime")


class ChunkedPrompt(msgspec.Struct):
    """AI Studio's form of a conversation."""

    chunks: list[Chunk]


class TextPart(msgspec.Struct):
    """A part of a message of the command line tool."""

    text: str | None = None


class SessionMessage(msgspec.Struct):
    """A message of the command line tool."""

    type: str | None = None
    content: str | list[str | TextPart] | None = None
    timestamp: Stamp = None


class Record(msgspec.Struct):
    """An entry of My Activity, or a whole conversation in one of the other two forms; the fields tell which."""

    header: str | None = None
    title: str | None = None
    time: str | None = None
    products: list[str] | None = None
    answers: list[Html] | None = msgspec.field(default=None, name="safeHtmlItem")
    image: str | None = msgspec.field(default=None, name="imageFile")

    chunked_prompt: ChunkedPrompt | None = msgspec.field(default=None, name="chunkedPrompt")

    session: str | None = msgspec.field(default=None, name="sessionId")
    start_time: Stamp = msgspec.field(default=None, name="startTime")
    summary: str | None = None
    messages: list[SessionMessage] | None = None


class Turn(msgspec.Struct):
    """A prompt and its answer, which may be missing."""

    at: int
    prompt: str
    answer: str


_decoder = msgspec.json.Decoder(Record)


def talks(document: JsonStream) -> Iterator[Imported | None]:
    """Yield the conversations, or None for one without text and for a record that cannot be read."""
    records = _records(document)
    first, broken = _first(records)
    prompted = _learned([record for record in first if record and _is_gemini(record)])
    group: list[Turn] = []
    for record in chain(first, (record for record, _ in records)):
        if record is None:
            yield None
        elif record.chunked_prompt:
            yield _studio(record.chunked_prompt)
        elif record.messages is not None:
            yield _session(record, record.messages)
        elif turn := _turn(record, prompted):
            if group and not _together(group, turn):
                yield _activity(group)
                group = []
            group.append(turn)
    if broken:
        raise broken
    if group:
        yield _activity(group)


def page_talks(page: ActivityPage) -> Iterator[Imported | None]:
    """Yield the conversations of My Activity as a web page. Raises ForeignError when nothing in it is Gemini's."""
    entries = page.entries()
    first = list(islice(entries, LEARNED))
    # The newest stands first, and may have no answer yet.
    asking = {entry.action for entry in first if _is_prompt(entry)}
    group: list[Turn] = []
    is_known = False
    for entry in chain(first, entries):
        if not _PRODUCT.search(entry.product):
            continue
        is_known = True
        if _is_prompt(entry):
            asking.add(entry.action)
        if entry.action not in asking:
            continue
        plain = entry.words if entry.action else _PROMPTED.sub("", entry.words, count=1)
        turn = Turn(entry.at, plain, entry.answer)
        if group and not _together(group, turn):
            yield _activity(group)
            group = []
        group.append(turn)
    if group:
        yield _activity(group)
    if not is_known:
        raise ForeignError("it is no export of Gemini: the page holds no activity of Gemini")


def _is_prompt(entry: Entry) -> bool:
    """Return whether an entry is one in any case: by its action, or because Gemini answered."""
    action = f"{entry.action} "
    is_answered = bool(entry.answer) and bool(_PRODUCT.search(entry.product)) and not _OTHER_ACTIONS.match(action)
    return is_answered or bool(_PROMPTED.match(action))


def _records(document: JsonStream) -> Iterator[tuple[Record | None, int]]:
    """Yield the records with their sizes in bytes, None for one that cannot be read."""
    known = False
    for raw in document.values():
        yield _record(raw, known=known), len(raw)
        known = True


def _first(records: Iterator[tuple[Record | None, int]]) -> tuple[list[Record | None], HistoryError | None]:
    """Take the first records, ``LEARNED`` of them unless they are large, and the error that ended them early."""
    first: list[Record | None] = []
    size = 0
    try:
        for record, length in records:
            first.append(record)
            size += length
            if len(first) == LEARNED or size > LEARNED_BYTES:
                break
    except HistoryError as error:
        return first, error
    return first, None


def _is_gemini(record: Record) -> bool:
    return any(map(_PRODUCT.search, (record.header or "", *(record.products or ()))))


def _learned(records: list[Record]) -> re.Pattern[str]:
    """Return what a prompt's entry begins with: as known, or as most answered entries have it in common."""
    titles = [record.title for record in records if record.title and record.answers]
    starts = Counter(title[: end.end()] for title in titles for end in re.finditer(r"[\s\xa0:]+", title[:80]))
    common = [start for start, count in starts.items() if count >= max(3, ALIKE * len(titles))]
    if not common or any(map(_PROMPTED.match, titles)):
        return _PROMPTED
    return re.compile(f"{_PROMPTED.pattern}|{re.escape(max(common, key=len))}")


def _record(raw: bytes, *, known: bool) -> Record | None:
    """Decode a record. Raises ForeignError when the first one is not Gemini's."""
    try:
        record = _decoder.decode(raw)
    except msgspec.ValidationError as error:
        if not known:
            raise foreign("gemini", raw, str(error)) from None
        return None
    is_entry = record.header is not None and record.time is not None
    is_session = record.session is not None and record.messages is not None
    if is_entry or is_session or record.chunked_prompt:
        return record
    if not known:
        raise foreign("gemini", raw, "its first record is no activity, no prompt of AI Studio and no session")
    return None


def _turn(record: Record, prompted: re.Pattern[str]) -> Turn | None:
    """Read an entry of My Activity. Return None if it belongs to another product or is not a prompt."""
    title = record.title or ""
    if not _is_gemini(record):
        return None
    # If the answer was regenerated, the person went on with the last one.
    answers = [text for item in record.answers or () if (text := plain_text(item.html or ""))]
    asked = prompted.match(title)
    if not asked and (not answers or _OTHER_ACTIONS.match(title)):
        return None
    prompt = joined((title[asked.end() :] if asked else title, IMAGE if record.image else ""))
    return Turn(from_stamp(record.time), prompt, answers[-1] if answers else "")


def _together(group: list[Turn], turn: Turn) -> bool:
    if len(group) >= MOST_TURNS or sum(len(one.prompt) + len(one.answer) for one in group) > MOST_CHARS:
        return False
    return abs(group[-1].at - turn.at) <= GAP


def _activity(group: list[Turn]) -> Imported | None:
    if group[0].at >= group[-1].at:
        group.reverse()
    said: list[Said] = []
    for turn in sorted(group, key=lambda turn: turn.at):
        said += [Said("person", turn.prompt, turn.at), Said("assistant", turn.answer, turn.at)]
    return conversation(_headline(said), 0, said)


def _studio(prompt: ChunkedPrompt) -> Imported | None:
    said = [
        Said(
            "person" if chunk.role == "user" else "assistant",
            joined((chunk.text, IMAGE if bytes(chunk.image) else "", attached("") if bytes(chunk.document) else "")),
            from_stamp(chunk.create_time),
        )
        for chunk in prompt.chunks
        if chunk.role in ("user", "model") and not chunk.thought
    ]
    return conversation(_headline(said), 0, said)


def _session(record: Record, messages: list[SessionMessage]) -> Imported | None:
    said = [
        Said("person" if message.type == "user" else "assistant", _words(message), from_stamp(message.timestamp))
        for message in messages
        if message.type in ("user", "gemini")
    ]
    return conversation(record.summary or _headline(said), from_stamp(record.start_time), said)


def _words(message: SessionMessage) -> str:
    if isinstance(message.content, list):
        return joined(part.text if isinstance(part, TextPart) else part for part in message.content)
    return joined((message.content,))


def _headline(said: list[Said]) -> str:
    """Return a title made from the first line of a conversation that has none."""
    first = next((one.words for one in said if one.words), "").split("\n", 1)[0]
    return first if len(first) <= TITLE_CHARS else first[: TITLE_CHARS - 1] + "…"
