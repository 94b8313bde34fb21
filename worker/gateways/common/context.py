"""What a message refers to, as a line before its text: whose words or whose file it answers, and who was forwarded.

Her mind sees only the new message. Without this line, "and what about this?" has no meaning.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, NamedTuple

from worker.gateways.common.graphemes import clipped

CORRECTION: Final = "(The person corrected an earlier message. It now reads:)\n"

QUOTE_CHARS: Final = 200
NAME_CHARS: Final = 64


class Author(NamedTuple):
    """Who wrote what is quoted: she, the person who writes now, or somebody else, whose name may be unknown."""

    who: Literal["she", "person", "other"]
    name: str = ""


class Quoted(NamedTuple):
    """The message that is answered: its words, and what else it was ("a photo"), "" if it was only words."""

    author: Author
    words: str = ""
    thing: str = ""
    at: datetime | None = None


def in_answer_to(quoted: Quoted) -> str:
    """The line about a reply; "" if nothing is known of what it answers."""
    words = clipped(one_line(quoted.words), QUOTE_CHARS)
    if quoted.thing:
        said = f', with the words "{words}"' if words else ""
        return f"(In answer to {quoted.thing}{_of(quoted.author)}{_sent(quoted.at)}{said}.)\n"
    return f'(In answer to{_words_of(quoted.author)}: "{words}")\n' if words else ""


def forwarded(author: Author) -> str:
    """The line about a forward."""
    match author.who:
        case "she":
            return "(Forwarded; these are your own earlier words:)\n"
        case "person":
            return "(Forwarded; these are the person's own earlier words:)\n"
        case _:
            source = f" from {_named(author)}" if author.name else ""
            return f"(Forwarded{source}; these are not the person's own words:)\n"


def one_line(text: str) -> str:
    """Return the text as one line."""
    return " ".join(text.split())


def _words_of(author: Author) -> str:
    match author.who:
        case "she":
            return " your words"
        case "person":
            return " their own words"
        case _:
            return f" the words of {_named(author)}" if author.name else ""


def _of(author: Author) -> str:
    match author.who:
        case "she":
            return " of yours"
        case "person":
            return " of theirs"
        case _:
            return f" from {_named(author)}" if author.name else ""


def _named(author: Author) -> str:
    """A name that somebody chose must not end the quotation that it stands in."""
    return f'"{clipped(one_line(author.name).replace(chr(34), ""), NAME_CHARS)}"'


def _sent(at: datetime | None) -> str:
    """The time in this machine's zone, as in the rest of the prompt."""
    if at is None:
        return ""
    try:
        local = at.astimezone()
    except (ValueError, OverflowError):
        # The first or the last day that Python knows, which no message was sent on.
        return ""
    return f", sent on {local.day} {local:%B at %H:%M}"
