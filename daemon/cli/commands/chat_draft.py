"""Draws an answer on a terminal while it comes, above the line that is being typed."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Callable
from typing import Final

from daemon.logging.terminal import lines

UP_AND_CLEAR: Final = "\x1b[A\r\x1b[K"
AGAIN: Final = "(she begins again)"
DROPPED: Final = "(she has dropped this answer)"


class ChatDraft:
    """One answer at a time. ``show`` writes text above the line that is being typed, which it draws again.

    Rows that are full stay as they are; only the last one is drawn again when it grows.
    """

    def __init__(self, name: str, show: Callable[[str], None]) -> None:
        self._name = name
        self._show = show
        self._turn: object = None
        self._text = ""
        self._full = 0
        """How many full rows of it are on the screen."""
        self._is_above = False
        """Whether its last row stands right above the line that is being typed."""

    def grow(self, turn: object, offset: int, text: str) -> None:
        """Draw what is new: ``text`` follows the first ``offset`` characters, and replaces all if that is 0."""
        if turn != self._turn:
            self._begin(turn)
        if offset > len(self._text):
            # What came before was lost with a connection. The whole answer comes in the end.
            return
        grown = self._text[:offset] + text
        if not grown:
            self._drop(DROPPED)
            return
        if not grown.startswith(self._text):
            self._drop(AGAIN)
            self._begin(turn)
        self._draw(grown)

    def end(self, turn: object, text: str) -> None:
        """Draw a whole message: the rest of it, if it is what was drawn so far."""
        if turn is None or turn != self._turn or not text.startswith(self._text):
            self._begin(turn)
        self._draw(text)
        self._begin(None)

    def covered(self) -> None:
        """Something else was written below it."""
        self._is_above = False

    def _begin(self, turn: object) -> None:
        self._turn, self._text, self._full, self._is_above = turn, "", 0, False

    def _drop(self, why: str) -> None:
        if self._text:
            self._show(why)
        self._begin(None)

    def _draw(self, text: str) -> None:
        if not text or text == self._text:
            return
        shown = lines(f"{self._name}: {text}").expandtabs()
        rows = _rows(shown, shutil.get_terminal_size().columns)
        over = UP_AND_CLEAR if self._is_above else ""
        self._show(over + shown[rows[self._full] :])
        self._text, self._full, self._is_above = text, len(rows) - 1, True


def _rows(text: str, columns: int) -> list[int]:
    """Return where in the text each row begins when the terminal breaks it."""
    rows, width = [0], 0
    for at, character in enumerate(text):
        if character == "\n":
            rows.append(at + 1)
            width = 0
            continue
        cells = _cells(character)
        if width + cells > columns:
            rows.append(at)
            width = 0
        width += cells
    return rows


def _cells(character: str) -> int:
    """How many cells a terminal gives this character."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
