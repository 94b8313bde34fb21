"""What was said before, as a prompt shows it: quoted, dated, within a fixed budget."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime, tzinfo
from typing import Final

from proto.messages import Line
from proto.recalling import Beside, Passage
from worker.prompting.origin import LABELS
from worker.prompting.perceived import one_line
from worker.prompting.size import tokens

MOST_TOKENS: Final = 1_500
"""Tokens of all passages in one prompt, however much room there is."""

PART: Final = 8
"""A mind with little room gets at most one part in so many of it."""

_OWN: Final = """\
## What was said before
These lines were found, for the words below, in all that you and the person said to each other before and in what you \
were fed. They are quotations with their dates. Where two of them disagree, the later one holds. Where they answer, \
you may say when it was said. What is not here, or elsewhere in this text, you do not remember: say so.

{passages}"""

_VISITED: Final = """\
## What was said before
These lines of this conversation were found for the words below. They are quotations with their dates. Where two of \
them disagree, the later one holds.

{passages}"""

NOTHING: Final = """\
## What was said before
Everything that was said before was searched for the words below, and nothing was found. If they ask about something \
that was said or done before, say that you find nothing about it. Make nothing up."""

_OF_THE_PAST: Final = re.compile(
    r"\b(?:remember|recall|told|said|say|says|mention(?:ed)?|talked|spoke|discussed|promised|ago|yesterday|earlier"
    r"|last (?:time|night|week|month|year|\w+day)|when did|did (?:i|we|you)|have (?:i|we|you)|had (?:i|we|you)"
    r"|used to|(?:in|since) (?:19|20)\d\d)\b",
    re.IGNORECASE,
)


def is_of_the_past(words: str) -> bool:
    """Return whether these words ask about something that was said or done before. Understands English."""
    return bool(_OF_THE_PAST.search(words)) and ("?" in words or "remember" in words.casefold())


def recollection(
    recalled: Sequence[Passage], shown: Collection[Line], room: int, zone: tzinfo | None, name: str, *, visitor: bool
) -> str:
    """Return the section with the best passages that fit, "" if there are none.

    Passages that the prompt ``shown`` anyway are left out. ``room`` is how many tokens the mind takes, 0 if no limit is
    known; ``name`` is the persona's.
    """
    frame = _VISITED if visitor else _OWN
    left = (min(MOST_TOKENS, room // PART) if room else MOST_TOKENS) - tokens(frame)
    known = {(line.at, line.role) for line in shown}
    said = {" ".join(line.content.split()) for line in shown}
    parts: list[str] = []
    for passage in recalled:
        if (passage.at, passage.role) in known or passage.content in said:
            continue
        part = _whole(passage, zone, name)
        if tokens(part) > left:
            part = _alone(passage, zone, name)
        if tokens(part) > left:
            continue
        left -= tokens(part)
        parts.append(part)
    return frame.format(passages="\n".join(parts)) if parts else ""


def listed(recalled: Sequence[Passage], zone: tzinfo | None, name: str, most: int) -> str:
    """Return passages as text of at most ``most`` characters, whole ones only."""
    parts: list[str] = []
    for passage in recalled:
        part = _whole(passage, zone, name)
        if len(part) + 1 > most:
            break
        most -= len(part) + 1
        parts.append(part)
    return "\n".join(parts)


def when(at: int, zone: tzinfo | None) -> str:
    """Return a date and time as a prompt shows it; ``at`` is in epoch nanoseconds."""
    moment = datetime.fromtimestamp(at // 1_000_000_000, zone)
    return f"{moment:%A}, {moment.day} {moment:%B %Y, %H:%M}"


def speaker(passage: Passage, name: str) -> str:
    """Return who answers the person in this passage: she herself, or the AI that she was fed the conversation from."""
    return next((label for source, label in LABELS.items() if source == passage.channel), name)


def _whole(passage: Passage, zone: tzinfo | None, name: str) -> str:
    other = speaker(passage, name)
    beside = [
        f"  > ({place}, {_who(line, other)}: {one_line(line.content)})"
        for place, line in (("just before", passage.before), ("then", passage.after))
        if line and line.content.strip()
    ]
    return "\n".join([_alone(passage, zone, name), *beside])


def _alone(passage: Passage, zone: tzinfo | None, name: str) -> str:
    where = f'{passage.channel}, "{one_line(passage.title)}"' if passage.title else passage.channel
    who = _who(passage, speaker(passage, name))
    return f"- {when(passage.at, zone)} ({where}), {who}:\n  > {one_line(passage.content)}"


def _who(line: Passage | Beside, name: str) -> str:
    return "the person" if line.role == "person" else name
