"""How a prompt that a working mind does not answer is tried again, and when that ends."""

from __future__ import annotations

from typing import Final

from worker.base.organ_errors import PromptRefused
from worker.prompting.prompt import Prompt

MAX_EMPTY: Final = 3
"""How often the same prompt is asked when the answer is empty or fails: models and servers are not deterministic."""

MAX_BROKEN: Final = 5
"""How often the same prompt is asked when the connection breaks within the answer, with growing waits in between."""

MAX_TRIES: Final = 24
"""Mind calls for one turn in all. Halving a full batch and a full prompt takes fewer."""


class Tries:
    """The tries of one turn. ``most`` messages are asked together, and ``is_bare`` leaves out all that came before.

    A refusal of several messages does not say which of them is the reason: fewer are asked, the oldest first, until
    one is left. The others are not answered by this turn and wait for the next one.
    """

    def __init__(self) -> None:
        self.most = 0
        """The number of messages to ask together; 0: no limit."""
        self.is_bare = False
        self._empty = 0
        self._broken = 0
        self._all = 0

    def again(self, refusal: PromptRefused, prompt: Prompt) -> bool:
        """Choose what the next prompt is after this one was refused; False when there is nothing more to try."""
        self._all += 1
        if self._all >= MAX_TRIES:
            return False
        if refusal.kind == "too_long":
            # The mind has learned its room from the refusal: the next prompt is shorter.
            return not prompt.is_least
        if refusal.kind in ("empty", "faulty"):
            self._empty += 1
            if self._empty < MAX_EMPTY:
                return True
        if refusal.kind == "broken":
            self._broken += 1
            if self._broken < MAX_BROKEN:
                return True
        if len(prompt.perceptions) > 1:
            self.most = len(prompt.perceptions) // 2
            return True
        if not self.is_bare and (prompt.history or prompt.passages or prompt.recalled):
            # A filter or a template may fail because of what was said before.
            self.is_bare = True
            return True
        return False
