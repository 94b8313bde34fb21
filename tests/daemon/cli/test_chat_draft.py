"""What a terminal shows while an answer comes."""

from __future__ import annotations

import re

import pytest

from daemon.cli.commands.chat import PROMPT
from daemon.cli.commands.chat_draft import AGAIN, DROPPED, ChatDraft

COLUMNS = 30


class Screen:
    """A terminal as far as the draft uses it: rows, of which the last is the prompt's."""

    def __init__(self) -> None:
        self.rows = [PROMPT]
        self.draft = ChatDraft("Eve", self.show)

    def show(self, text: str) -> None:
        self.rows[-1] = ""
        for part in re.split(r"(\x1b\[A\r\x1b\[K|\n)", f"{text}\n{PROMPT}"):
            if part == "\n":
                self.rows.append("")
            elif part.startswith("\x1b[A"):
                # Up, and the row there is cleared.
                self.rows.pop()
                self.rows[-1] = ""
            else:
                self._write(part)

    def _write(self, text: str) -> None:
        for character in text:
            row = self.rows[-1] + character
            if sum(2 if ord(one) > 0x3000 else 1 for one in row) > COLUMNS:
                self.rows.append(character)
            else:
                self.rows[-1] = row


def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    return Screen()


def test_words_are_appended_and_rows_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row is on the screen once, however often its last one was drawn again."""
    shown = screen(monkeypatch)
    text = "Once upon a time there was a\nlittle fox \x1b[2J"
    for at in range(0, len(text), 3):
        shown.draft.grow(1, at, text[at : at + 3])
    shown.draft.end(1, f"{text}!")
    assert shown.rows == ["Eve: Once upon a time there wa", "s a", "little fox \\x1b[2J!", PROMPT]


def test_an_answer_that_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was drawn stays above, with a word on what happened."""
    shown = screen(monkeypatch)
    shown.draft.grow(1, 0, "Good mor")
    shown.draft.grow(1, 0, "Good evening")
    shown.draft.end(1, "Good evening")
    assert shown.rows == ["Eve: Good mor", AGAIN, "Eve: Good evening", PROMPT]


def test_an_answer_that_ends_without_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, once, and only if something of it was seen."""
    shown = screen(monkeypatch)
    shown.draft.grow(1, 0, "")
    shown.draft.grow(2, 0, "Good mor")
    shown.draft.grow(2, 0, "")
    shown.draft.grow(2, 0, "")
    assert shown.rows == ["Eve: Good mor", DROPPED, PROMPT]


def test_something_else_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last row is drawn again below it."""
    shown = screen(monkeypatch)
    shown.draft.grow(1, 0, "Good")
    shown.draft.covered()
    shown.show("(connected again)")
    shown.draft.grow(1, 4, " day")
    assert shown.rows == ["Eve: Good", "(connected again)", "Eve: Good day", PROMPT]


def test_wide_characters_take_two_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row ends where the terminal would end it."""
    shown = screen(monkeypatch)
    shown.draft.end(1, "\N{HIRAGANA LETTER A}" * 20)
    assert [len(row) for row in shown.rows[:-1]] == [17, 8]
