"""How much a mind takes: what its server told, and what its refusals teach."""

from __future__ import annotations

from typing import Final

from worker.base.organ_errors import PromptRefused
from worker.prompting.prompt import REPLY_TOKENS

LEAST: Final = 256
"""Tokens below which no prompt is worth trying."""

MARGIN: Final = 0.95
"""The part of the known room that is used, because a prompt's tokens are only estimated."""


class Room:
    """The room for one prompt and its answer. It only shrinks, and is forgotten with the process."""

    def __init__(self) -> None:
        self.prompt = 0
        """Estimated tokens that a prompt may have; 0: no limit is known."""
        self.reply = REPLY_TOKENS
        """Tokens that an answer may have."""

    def learn(self, refusal: PromptRefused, size: int) -> None:
        """Learn from the refusal of a prompt that was estimated to be ``size`` tokens long."""
        smaller = size // 2
        if refusal.context:
            # A server that tells how long the prompt really was corrects the estimate as well.
            denser = max(1.0, refusal.asked / size) if refusal.asked and size else 1.0
            told = int((refusal.context - self._kept_for_reply(refusal.context)) / denser * MARGIN)
            smaller = told if LEAST <= told < size else smaller
        self.prompt = max(LEAST, min(smaller, self.prompt or smaller))

    def _kept_for_reply(self, context: int) -> int:
        return min(self.reply, context // 4)
