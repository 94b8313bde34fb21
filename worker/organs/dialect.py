"""How a server wants to be asked, learned from its refusals: which fields it takes, and in which form.

There are many servers behind one API, and most of them say in words what they do not take. Each lesson is learned once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from proto.messages import ChatTurn
from worker.base.organ_errors import OrganUnreachable

STATUSES: Final = frozenset((200, 400, 404, 422, 500, 501))

_UNWANTED: Final = (
    "(?:unsupported|not supported|unrecognized|unknown|unexpected|not permitted|not allowed|invalid"
    "|extra inputs|extra fields)"
)
_LIMITS: Final = ("max_tokens", "max_completion_tokens", "")
"""The fields for the length of an answer in the order in which they are tried; "" leaves it to the server."""

_NO_SYSTEM: Final = re.compile(
    r"system role not supported"  # templates of Gemma and Mistral
    r"|(?:developer|system) instruction is not enabled"  # Gemini's Gemma
    r"|(?:does not|doesn't) support (?:the )?['\"`]?(?:system|developer)"
    r"|['\"`]?(?:system|developer)['\"`]? (?:role|messages?|prompts?) (?:is|are) not (?:supported|allowed)"
    r"|roles must alternate user/assistant",
    re.IGNORECASE,
)
_PARTS: Final = re.compile(r"content\b.{0,60}\b(?:should|must) be (?:a |an )?(?:valid )?(?:list|array)", re.IGNORECASE)
_MOST: Final = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        r"supports at most (\d+)",  # OpenAI
        r"max_(?:completion_|output_)?tokens\W{1,3}\d+ > (\d+)",  # Anthropic
        r"max_(?:completion_)?tokens\W.{0,80}(?:less than or equal to|at most|<=|maximum is)\W{0,2}(\d+)",  # Groq
        r"range of max_(?:completion_)?tokens should be \[1, (\d+)\]",  # Alibaba
    )
)


class Dialect:
    """What one server takes."""

    def __init__(self, limit_field: str) -> None:
        self.limit_field = limit_field
        """The name of the field for the length of an answer; "": none is sent."""
        self.has_system = True
        self.tells_usage = True
        """Whether it is asked for the tokens of a stream; a server that does not take ``stream_options`` is not."""
        self.in_parts = False
        """Whether content is sent as a list of parts."""
        self.most = 0
        """The most tokens of an answer that the server allows; 0: not known."""
        self._refused = {""}

    def learn(self, error: OrganUnreachable) -> bool:
        """Learn from a refusal; return whether the same question can be asked in another way now."""
        said = error.reason
        if error.status not in STATUSES:
            return False
        if (most := _told(said)) and (not self.most or most < self.most):
            self.most = most
            return True
        if self.tells_usage and _unwanted("stream_options").search(said):
            self.tells_usage = False
            return True
        if self.limit_field and _unwanted(self.limit_field).search(said):
            self._refused.add(self.limit_field)
            self.limit_field = next((name for name in _LIMITS if name not in self._refused), "")
            return True
        if self.has_system and _NO_SYSTEM.search(said):
            self.has_system = False
            return True
        if not self.in_parts and _PARTS.search(said):
            self.in_parts = True
            return True
        return False

    def turns(self, turns: Sequence[ChatTurn]) -> Sequence[ChatTurn]:
        """Return the turns in the form that the server takes: without a system turn, the first words hold its text."""
        if self.has_system or not turns or turns[0].role != "system":
            return turns
        system, *talk = turns
        if not talk:
            return [ChatTurn("user", system.content)]
        return [ChatTurn("user", f"{system.content}\n\n{talk[0].content}"), *talk[1:]]


def _unwanted(field: str) -> re.Pattern[str]:
    """Match what says that a server does not take this field, in either order."""
    return re.compile(rf"\b{field}\b.{{0,80}}{_UNWANTED}|{_UNWANTED}.{{0,80}}\b{field}\b", re.IGNORECASE | re.DOTALL)


def _told(said: str) -> int:
    plain = re.sub(r"(?<=\d),(?=\d{3}\b)", "", said)
    return next((int(found[1][:9]) for pattern in _MOST if (found := pattern.search(plain))), 0)
