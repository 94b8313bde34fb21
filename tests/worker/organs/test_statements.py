"""The bullets of person.md as the code reads and writes them."""

from __future__ import annotations

import pytest

from worker.organs.statements import Fact, written
from worker.prompting.origin import without_origins
from worker.prompting.speech import speakable


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        ("- Name: Ann", [Fact("Name", "Ann")]),
        ("  * Name:   Ann Lee  ", [Fact("Name", "Ann Lee")]),
        ("- Name: Ann (from ChatGPT, May 2024)  ", [Fact("Name", "Ann")]),
        ("- Likes: tea (from Claude) (from Claude)", [Fact("Likes", "tea (from Claude)")]),
        ("- Likes: tea (from Claude) and more", [Fact("Likes", "tea (from Claude) and more")]),
        ("- Name:", []),
        ("Name: Ann", []),
        ("", []),
    ],
)
def test_bullets(line: str, facts: list[Fact]) -> None:
    """A bullet with a key is a fact, without its note of origin; everything else was written by a person."""
    assert written(line) == facts


def test_lines_of_spaces_are_lines() -> None:
    """Long runs of what a note or a bullet might begin with are read once, and stay as they are."""
    spaces = " " * 200_000
    text = f"{spaces}\n- Name: Ann{spaces}(from Claude){spaces}\n{'- ' * 50_000}\n"
    assert written(text) == [Fact("Name", "Ann")]
    assert without_origins(text) == f"{spaces}\n- Name: Ann\n{'- ' * 50_000}\n"


@pytest.mark.parametrize(
    ("words", "spoken"),
    [
        ("# A title\n\n- one\n  * two\n> three", "A title\n\none\ntwo\nthree"),
        ("**bold**, _it_, `code`, ~~gone~~ and snake_case", "bold, it, code, gone and snake_case"),
        ("see [the page](https://example.org/a_b) and ![a cat](cat.png)", "see the page and a cat"),
        ("[not a link] (really) __init__", "[not a link] (really) init"),
        ("a__b _c", "a__b c"),
        ("***", "***"),
    ],
)
def test_speech_has_no_markup(words: str, spoken: str) -> None:
    """What is read aloud is the text without Markdown's marks."""
    assert speakable(words) == spoken
