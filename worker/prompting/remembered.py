"""What of her memory a prompt shows: all of it, or within a fixed budget what the new messages are about."""

from __future__ import annotations

import re
from typing import Final

from proto.messages import Memory
from worker.prompting.memory import SHOWN_TOKENS, SUBJECT, telling
from worker.prompting.size import tokens

MEMORY_FILE_CHARS: Final = 16_000
"""How many characters of one memory file are shown; only a file that was edited by hand can be longer."""

HEADINGS: Final[dict[str, str]] = {
    "person": "The person you talk with",
    "traits": "How the person is",
    "persona-trait": "How you yourself are with this person",
    "wishes": "What the person wishes for",
    "struggles": "What the person struggles with",
    "permissions": "What the person allows you and forbids you",
}
"""Headings of the documented memory files, in the order in which a prompt shows them."""

_HIDDEN: Final = (
    "(Your memory is larger than what fits here. Not shown now: {names}. What they hold was said in earlier talks:"
    " look it up there if you can, and otherwise say that you do not have it in mind.)"
)


def remembered(memory: Memory, words: str) -> str:
    """Return her memory as a prompt shows it.

    The documented files come first and always. Of the others, those with most in common with ``words`` are shown while
    all stays within ``SHOWN_TOKENS``, each of them whole, and the rest is named.
    """
    known = [name for name in HEADINGS if memory.get(name, "").strip()]
    shown = {name: _section(name, memory[name]) for name in known}
    asked = telling(words)
    others = [name for name in memory if name not in HEADINGS and memory[name].strip()]
    others.sort(key=lambda name: (-len(telling(f"{name} {memory[name]}") & asked), name))
    left, hidden = SHOWN_TOKENS - sum(map(tokens, shown.values())), list[str]()
    for name in others:
        section = _section(name, memory[name])
        if (size := tokens(section)) <= left:
            left -= size
            shown[name] = section
        else:
            hidden.append(name)
    ordered = [shown[name] for name in (*known, *sorted(shown.keys() - set(known)))]
    return "\n\n".join([*ordered, *([_HIDDEN.format(names=", ".join(sorted(hidden)))] if hidden else [])])


def nested(body: str) -> str:
    """Keep a text's own headings below the section that holds it."""
    return re.sub(r"(?m)^(#+ )", r"##\1", body)


def _section(name: str, body: str) -> str:
    subject = SUBJECT.fullmatch(name)
    heading = f"{HEADINGS[subject['of']]}: {subject['subject'].replace('-', ' ')}" if subject else name
    text = nested(body.strip())
    shown = text if len(text) <= MEMORY_FILE_CHARS else text[:MEMORY_FILE_CHARS] + "\n(The rest is left out.)"
    return f"## {HEADINGS.get(name, heading)}\n{shown}"
