"""How much a mind takes: what the settings or its server told, and what its refusals teach."""

from __future__ import annotations

import math
from typing import Final

from worker.base.organ_errors import PromptRefused

LEAST: Final = 256
"""Tokens below which neither a prompt nor an answer is worth trying."""

MARGIN: Final = 0.95
"""The part of the known room that is used, because a prompt's tokens are only estimated."""

DENSEST: Final = 4.0
"""The most real tokens for an estimated one that are believed."""


class Room:
    """The room for one prompt and its answer, in tokens. It is forgotten with the process."""

    def __init__(self, context: int) -> None:
        """``context`` is the size of the model as far as it is known, 0 if it is not."""
        self._context = context
        self._is_sure = context > 0
        self._density = 1.0
        self._found = 0

    @property
    def prompt(self) -> int:
        """Estimated tokens that a prompt may have; 0: no limit is known."""
        told = 0
        if self._context:
            # A quarter is kept for the answer, and for thinking about it.
            told = max(LEAST, int(self._context * 3 / 4 / self._density * MARGIN))
        return min(told, self._found) if told and self._found else told or self._found

    def tell(self, context: int) -> None:
        """Take over the size that the server tells. What a refusal taught or the settings say counts more."""
        if not self._is_sure:
            self._context = context

    def reply(self, wanted: int, size: int) -> int:
        """Return how many tokens an answer to a prompt of this estimated size may have."""
        if not self._context:
            return wanted
        return max(min(wanted, self._context - math.ceil(size * self._density / MARGIN)), min(wanted, LEAST))

    def learn(self, refusal: PromptRefused, size: int, wanted: int) -> bool:
        """Learn from the refusal of a prompt of this estimated size, with an answer of ``wanted`` tokens.

        Return whether the same prompt fits with the shorter answer that is asked for from now on.
        """
        before = self.reply(wanted, size)
        if refusal.context:
            known = self._context if self._is_sure else 0
            self._context, self._is_sure = min(refusal.context, known or refusal.context), True
        if refusal.asked and size:
            self._density = min(DENSEST, max(self._density, refusal.asked / size))
        fits = refusal.context and refusal.asked and refusal.asked + LEAST <= self._context
        if fits and self.reply(wanted, size) < before:
            return True
        if not 0 < self.prompt < size:
            self._found = max(LEAST, size // 2)
        return False
