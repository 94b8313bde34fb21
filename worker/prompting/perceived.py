"""The perceived text of files, as a prompt presents it."""

from __future__ import annotations

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
    """Return whether speech was heard in this perception."""
    return perception.kind == "audio" and bool(text) and failure(text) is None and text != _EMPTY["audio"]


def spoken_or_written(line: Line) -> str:
    """Return the text of a line, including speech."""
    is_spoken = line.media and _kind(line.media) == "audio" and failure(line.perceived) is None
    return f"{line.perceived}\n{line.content}".strip() if is_spoken else line.content


def read_in_pictures(history: list[Line]) -> list[tuple[str, str]]:
    """Return the names of a conversation's pictures with the text that was read in each, the newest last."""
    pictures = (line for line in history if line.media and line.perceived and _kind(line.media) == "image")
    return [(line.title or "your picture", line.perceived) for line in pictures if failure(line.perceived) is None]


def described(perception: Perception, text: str, can_search: bool) -> str:
    """Describe a perception for a prompt. ``text`` is what her organ made of it, "" when she has no organ for it."""
    if perception.kind == "text":
        return perception.content if perception.content.strip() else "(The person sent an empty message.)"
    shown = _as_prompt(perception.kind, perception.title, text, CHARS, can_search) if text else f"({lack(perception)})"
    return _with_caption(shown, perception.content)


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
    if kind == "audio" and not title and text != _EMPTY["audio"]:
        # Speech addressed to her counts like typed text.
        return f"{_SPOKEN}\n{shown}{rest}"
    return f"({_sent(kind, title)}. {_TOLD[kind]})\n{quoted(shown)}{rest}"


def _sent(kind: PerceptionKind, title: str) -> str:
    named = f' named "{one_line(title)[:TITLE_CHARS]}"' if title else ""
    return f"The person sent {_THINGS[kind]}{named}"


def _with_caption(shown: str, caption: str) -> str:
    return f"{shown}\n{caption}" if caption.strip() else shown
