"""What new messages ask, as the words of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from proto.messages import Perception
from worker.prompting import perceived

QUESTION_CHARS: Final = 2_000
"""How many characters of the new messages form the search query: the last ones, where the question usually is."""


def question_of(perceptions: Sequence[Perception], understood: Mapping[int, str]) -> str:
    """Return what was typed or spoken, as the search query; ``understood`` has the texts of files by id."""
    asked: list[str] = []
    for one in perceptions:
        if perceived.is_heard(one, understood.get(one.id, "")):
            asked.append(understood[one.id])
        asked.append(one.content)
    return "\n".join(text for text in asked if text.strip())[-QUESTION_CHARS:]
