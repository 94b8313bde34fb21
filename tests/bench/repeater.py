"""A mind that knows nothing but its prompt: it repeats the quoted lines that are about what is asked, or says no."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from tests.bench.talks import Question

NO: Final = "I find nothing about it."

_QUOTED: Final = re.compile(r"^- (?P<head>[^\n]+):\n(?P<lines>(?:  > [^\n]*\n?)+)", re.MULTILINE)


def repeated(system: str, question: Question) -> str:
    """Return the passages of this prompt that are about the question, in the order in which they stand there."""
    found = [
        f"{match['head']}: {match['lines'].strip()}"
        for match in _QUOTED.finditer(system)
        if all(word in match["lines"] for word in question.about)
    ]
    return "\n".join(found) or NO


def is_right(answer: str, question: Question) -> bool:
    """Return whether an answer holds all that the question asks for, and what changed later before what it replaced."""
    if not question.evidence:
        return answer == NO
    if question.kind == "changed since":
        first, *_ = answer.splitlines()[1:] or [answer]
        return question.evidence[0] in (answer.splitlines()[0] + first)
    return all(_shown(evidence) in answer for evidence in question.evidence)


def _shown(evidence: str) -> str:
    """Return the words that must stand in the answer: a date is shown as a prompt shows it."""
    word, _, at = evidence.partition(" ")
    if word != "DATE":
        return evidence
    moment = datetime.fromtimestamp(int(at) // 1_000_000_000, UTC)
    return f"{moment.day} {moment:%B %Y}"
