"""What the embedded mind answers about what was said before: the line itself, word for word, with its date."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from worker.organs.quoting import best_line
from worker.prompting.perceived import own_words, spoken_or_written
from worker.prompting.prompt import Prompt
from worker.prompting.recollection import speaker, when

SHOWN_CHARS: Final = 320

NOTHING: Final = "I find nothing about that in what was said between us."

_TALK: Final = r"(?:say|tell|mention|write|ask|talk|speak)"
_TOLD: Final = r"(?: to)?(?: me| you)?(?: anything| something)?(?: about| of| that)?"
_WHO: Final = r"(?P<{}>i|you|we)"
_ASKED: Final = re.compile(
    rf"(?:what|when|where|which \w+|how|why) did {_WHO.format('what')} (?:last |first |ever )?{_TALK}{_TOLD} "
    r"(?P<about>.{2,200})"
    rf"|did {_WHO.format('did')} (?:ever |already )?{_TALK}{_TOLD} (?P<of>.{{2,200}})"
    rf"|when did {_WHO.format('when')} (?P<doing>.{{2,200}})"
    rf"|(?:do|can) you (?:still )?(?:remember|recall) (?:what |when ){_WHO.format('recalled')} "
    r"(?:said|told you|did)(?: about| of)? (?P<thing>.{2,200})"
)
"""A question about what was said before; her person's question for a fact of theirs is answered from memory first."""


class _Line(NamedTuple):
    role: Literal["person", "assistant"]
    words: str
    at: int
    other: str = ""
    """The AI that said it, if it was not she herself."""


def remembered(prompt: Prompt, question: str) -> str | None:
    """Answer a question, in lower case and one line, about what was said before; None for any other one."""
    asked = _ASKED.fullmatch(question)
    if asked is None:
        return None
    who = next(said for name in ("what", "did", "when", "recalled") if (said := asked[name]))
    about = next(words for name in ("about", "of", "doing", "thing") if (words := asked[name]))
    return said_about(prompt, about, {"i": "person", "you": "assistant"}.get(who, "")) or NOTHING


def said_about(prompt: Prompt, about: str, role: str = "") -> str | None:
    """Return what was said about this, by ``role`` if it is given, with its date; None when nothing was."""
    lines = [line for line in _lines(prompt) if not role or line.role == role]
    found = best_line([line.words for line in lines], f"my {about}")
    if not found:
        return None
    line = next(line for line in reversed(lines) if line.words == found)
    shown = found if len(found) <= SHOWN_CHARS else f"{found[:SHOWN_CHARS].rsplit(maxsplit=1)[0]} ..."
    who = "you" if line.role == "person" else line.other or "I"
    return f'On {when(line.at, prompt.now.tzinfo)} {who} said: "{shown}"'


def _lines(prompt: Prompt) -> Iterator[_Line]:
    """Yield what was found and what the conversation holds, the latest last, without questions: they tell nothing."""
    lines = [_Line(one.role, own_words(one.content), one.at, speaker(one, "")) for one in prompt.recalled or ()]
    lines += [
        _Line(line.role, spoken_or_written(line) if line.role == "person" else line.content, line.at)
        for line in prompt.history
    ]
    for line in sorted(lines, key=lambda line: line.at):
        words = " ".join(line.words.split())
        if words and not words.endswith("?"):
            yield line._replace(words=words)
