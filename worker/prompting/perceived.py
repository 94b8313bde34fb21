"""The perceived text of files, as a prompt presents it."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Final

from proto.messages import Line, Perception
from proto.perception import EXTENSIONS, PerceptionKind
from proto.records import OrganName

CHARS: Final = 16_000
"""How many characters of one file's text a prompt shows: about 4,000 tokens."""

HISTORY_CHARS: Final = 2_000
"""How many characters of it are shown in later turns."""

TITLE_CHARS: Final = 120

_FAILED: Final = "(could not be understood: "

ORGANS: Final[dict[PerceptionKind, OrganName]] = {"image": "eye", "audio": "ear", "document": "researcher"}
"""The organ that perceives a file."""

_THINGS: Final[dict[PerceptionKind, str]] = {"image": "an image", "audio": "a recording", "document": "a document"}

_TOLD: Final[dict[PerceptionKind, str]] = {
    "image": "What your eye tells of it:",
    "audio": "What is said in it:",
    "document": "What your researcher tells of it:",
}
_SPOKEN: Final = "(The person sent a recording. What they said in it:)"
_LEFT_OUT: Final = "(The rest is left out.)"
_LOOK_UP: Final = "(The rest is left out. Your researcher looks things up in it when the person asks.)"
_EMPTY: Final[dict[PerceptionKind, str]] = {
    "image": "There is nothing to tell of it.",
    "audio": "Nothing is said in it.",
    "document": "There is nothing in it.",
}


_FORWARDED: Final = re.compile(r"(?m)^\((?:Forwarded\b(?!; these are the person's own)|Due now\b)[^\n]*\)$")
"""The line above what was forwarded, or what a routine has to do: ``proto.perception.FORWARDED`` and ``DUE``, whatever
else they say."""

_EAR_NOTE: Final = re.compile(r"\((?:Only the first .+ were listened to|\d+ passages? could not be made out)\b.*\)\Z")

_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")

_NOTE: Final = re.compile(r"\(.*\)\s*\Z")
"""A line that a gateway wrote about a message: a quotation that it answers, a contact, a place, a poll."""


def failed(reason: str) -> str:
    """Return the text that is kept for a file that an organ could not perceive."""
    return f"{_FAILED}{reason})"


def failure(text: str) -> str | None:
    """Return the reason in a text that ``failed`` made, or None for any other text."""
    return text[len(_FAILED) : -1] if text.startswith(_FAILED) else None


def nothing(kind: PerceptionKind) -> str:
    """Return the text that is kept for a file in which an organ found nothing."""
    return _EMPTY[kind]


def is_heard(perception: Perception, text: str) -> bool:
    """Return whether the person spoke to her in this perception, and words were heard.

    A recording that has a name or was forwarded is a file that she received. The voice in it need not be the voice of
    the person who talks with her now (the perception seed keeps hearing apart from receiving an audio file).
    """
    is_speech = perception.kind == "audio" and _is_own_speech(perception.title, perception.content)
    return is_speech and _has_words(text)


def spoken_or_written(line: Line) -> str:
    """Return the person's own words in a line: what they typed, and what they said to her."""
    is_spoken = line.media and _kind(line.media) == "audio" and _is_own_speech(line.title, line.content)
    written = own_words(line.content)
    return f"{line.perceived}\n{written}".strip() if is_spoken and _has_words(line.perceived) else written


def ear_notes(text: str) -> list[str]:
    """Return what an ear adds about a recording below its words: what it left out or could not make out."""
    lines = text.splitlines()[1:]
    return [line.strip("() ") for line in lines if _EAR_NOTE.match(line)]


def without_ear_notes(text: str) -> str:
    """Return the words of a recording alone."""
    first, *others = text.splitlines() or [""]
    return "\n".join([first, *(line for line in others if not _EAR_NOTE.match(line))])


def own_words(content: str) -> str:
    """Return a message without the words of others: what was forwarded, and the notes that gateways write about it."""
    own = _FORWARDED.split(content, maxsplit=1)[0]
    return "\n".join(line for line in own.splitlines() if not _NOTE.match(line)).strip()


def told_by_files(history: list[Line]) -> list[tuple[str, str]]:
    """Return the names of a conversation's pictures and received recordings, with the lines in each, newest last."""
    told: list[tuple[str, str]] = []
    for line in history:
        kind = _kind(line.media) if line.media and _has_words(line.perceived) else None
        if kind == "image":
            told.append((line.title or "your picture", line.perceived))
        elif kind == "audio" and not _is_own_speech(line.title, line.content):
            told.append((line.title or "your recording", _SENTENCE_END.sub("\n", line.perceived)))
    return told


def described(perception: Perception, text: str, can_search: bool, room: int = CHARS) -> str:
    """Describe a perception for a prompt, with at most ``room`` characters of ``text``.

    ``text`` is what her organ made of it, "" when she has no organ for it.
    """
    if perception.kind == "text":
        return perception.content if perception.content.strip() else "(The person sent an empty message.)"
    if not text:
        return _with_caption(f"({lack(perception)})", perception.content)
    if is_heard(perception, text):
        return _with_caption(_heard(text, room), perception.content)
    return _with_caption(_as_prompt(perception.kind, perception.title, text, room, can_search), perception.content)


def lack(perception: Perception) -> str:
    """Describe a file that she has no organ for."""
    organ = ORGANS[perception.kind]
    return f"{_sent(perception.kind, perception.title)}. You have no {organ}, so you cannot perceive it: say so."


def said(line: Line, room: int = HISTORY_CHARS) -> str:
    """Return an earlier line of the conversation for a prompt, with at most ``room`` characters of perceived text."""
    if not line.media:
        return line.content if line.content.strip() else "(nothing)"
    kind = _kind(line.media)
    if line.role == "assistant":
        # The text of her own recording is the line's content.
        return line.content if kind == "audio" else _with_caption("(You sent a picture.)", line.content)
    if kind == "audio" and _is_own_speech(line.title, line.content) and _has_words(line.perceived):
        return _with_caption(_heard(line.perceived, room), line.content)
    if line.perceived:
        return _with_caption(_as_prompt(kind, line.title, line.perceived, room, can_search=False), line.content)
    return _with_caption(f"({_sent(kind, line.title)}, which you could not perceive.)", line.content)


def quoted(text: str) -> str:
    """Mark every line as a quotation, so that none of them can pose as the person or as an instruction."""
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def one_line(text: str) -> str:
    """Remove line breaks and double quotes, so that the text can stand between quotes."""
    return " ".join(text.split()).replace('"', "'")


def _kind(media: str) -> PerceptionKind:
    """Return the kind of a file. Microphone recordings may have any extension; their names begin with ``audio-``."""
    if media.startswith("audio-"):
        return "audio"
    return EXTENSIONS.get(PurePath(media).suffix.lower(), "document")


def _as_prompt(kind: PerceptionKind, title: str, text: str, room: int, can_search: bool) -> str:
    if reason := failure(text):
        return f"({_sent(kind, title)}. You could not understand it: {reason} Say so.)"
    shown = text.strip()[:room]
    rest = "" if len(text.strip()) <= room else "\n" + (_LOOK_UP if can_search and kind == "document" else _LEFT_OUT)
    return f"({_sent(kind, title)}. {_TOLD[kind]})\n{quoted(shown)}{rest}"


def _heard(text: str, room: int) -> str:
    """Speech addressed to her counts like typed text."""
    shown = text.strip()[:room]
    return f"{_SPOKEN}\n{shown}" + ("" if len(text.strip()) <= room else f"\n{_LEFT_OUT}")


def _is_own_speech(title: str, content: str) -> bool:
    return not title and not _FORWARDED.search(content)


def _has_words(text: str) -> bool:
    return bool(text) and failure(text) is None and text not in _EMPTY.values()


def _sent(kind: PerceptionKind, title: str) -> str:
    named = f' named "{one_line(title)[:TITLE_CHARS]}"' if title else ""
    return f"The person sent {_THINGS[kind]}{named}"


def _with_caption(shown: str, caption: str) -> str:
    return f"{shown}\n{caption}" if caption.strip() else shown
