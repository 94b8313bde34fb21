"""Where long messages are split."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import overload

import pytest

from worker.gateways.common.markdown import RENDERED, render
from worker.gateways.common.splitting import (
    Entity,
    Rich,
    Span,
    characters,
    spans,
    split_markdown,
    split_rich,
    utf16_units,
)


def test_short_text_stays_whole() -> None:
    """A text that fits is not changed."""
    assert split_rich(Rich("hello\n\nthere"), 4096) == [Rich("hello\n\nthere")]
    assert split_markdown("```\na\n```", 2000) == ["```\na\n```"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("one two\nthree\n\nfour five", ["one two\nthree", "four five"]),
        ("one two three\nfour five six", ["one two three", "four five six"]),
        ("one two three four five", ["one two three four", "five"]),
        ("abcdefghijklmnopqrstuvwxyz", ["abcdefghijklmnopqrst", "uvwxyz"]),
    ],
)
def test_the_best_place(text: str, parts: list[str]) -> None:
    """A cut between paragraphs is preferred, then between lines, then words, then characters."""
    assert [part.text for part in split_rich(Rich(text), 20, characters)] == parts
    assert split_markdown(text, 20) == parts


def test_measured_in_utf16() -> None:
    """Characters outside the Basic Multilingual Plane count twice and are never split."""
    parts = split_rich(Rich("🙂" * 50), 21)
    assert [len(part.text) for part in parts] == [10, 10, 10, 10, 10]
    assert all(utf16_units(part.text) == 20 for part in parts)


def test_joined_characters_stay_together() -> None:
    """A family emoji, a skin tone or an accent is not separated from its base."""
    family = "👨\u200d👩\u200d👧"
    parts = [part.text for part in split_rich(Rich("abcdef" + family + "x" * 10), 12)]
    assert parts[0] == "abcdef"
    assert parts[1].startswith(family)
    assert [part.text for part in split_rich(Rich("abcde\u0301fgh"), 5, characters)] == ["abcd", "e\u0301fgh"]


def test_entities_are_shared_out() -> None:
    """Each part gets its share of an entity, with offsets from its own beginning."""
    bold = Entity("bold", 4, 15)
    link = Entity("text_link", 20, 4, url="https://example.org")
    parts = split_rich(Rich("one two three four five", (bold, link)), 14, characters)
    assert parts == [
        Rich("one two three", (Entity("bold", 4, 9),)),
        Rich("four five", (Entity("bold", 0, 5), Entity("text_link", 6, 3, url="https://example.org"))),
    ]


@pytest.mark.parametrize(
    "seen",
    [
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "\u1112\u1161\u11ab",
        "\ud55c\u11ab",
        "\U0001f1e9\U0001f1ea",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\U0001f44b\U0001f3fd",
        "\u2764\ufe0f",
        "\u0928\u0940",
        "\u0e01\u0e33\u0e33",
        "e\u0301\u0323",
        "\uff76\uff9e",
    ],
    ids=[
        "England",
        "jamo",
        "syllable and jamo",
        "Germany",
        "family",
        "skin",
        "heart",
        "Hindi",
        "Thai",
        "accents",
        "kana",
    ],
)
@pytest.mark.parametrize("prefix", ["", "a", "ab"])
@pytest.mark.parametrize("limit", [61, 62, 63])
def test_no_visible_character_is_cut(seen: str, prefix: str, limit: int) -> None:
    """Flags, tags, Hangul in parts, families and accents stay whole, wherever the limit falls."""
    parts = split_rich(Rich(prefix + seen * 150), limit, characters)
    assert "".join(part.text for part in parts) == prefix + seen * 150
    assert all(part.text.removeprefix(prefix).replace(seen, "") == "" for part in parts)
    assert all(len(part.text) <= limit for part in parts)


def test_code_block_is_kept_whole() -> None:
    """A code block that fits into one part is not split."""
    text = "words before\n\ncode line\n\ncode line 2\n\nafter"
    block = Entity("pre", 14, 22, language="python")
    parts = split_rich(Rich(text, (block,)), 25, characters)
    assert [part.text for part in parts] == ["words before", "code line\n\ncode line 2", "after"]
    assert parts[1].entities == (Entity("pre", 0, 22, language="python"),)


def test_indentation_stays() -> None:
    """A part that begins inside code keeps the indentation of its first line."""
    parts = split_rich(Rich("if x:\n    one()\n    two()\n"), 16, characters)
    assert [part.text for part in parts] == ["if x:\n    one()", "    two()"]


def test_fence_is_closed_and_opened() -> None:
    """A fenced block that must be split is code in every part, and no part is over the limit."""
    lines = [f"line_number_{number}()" for number in range(40)]
    text = "Look:\n\n```python\n" + "\n".join(lines) + "\n```\n\nThat is *all*."
    parts = split_markdown(text, 200)
    assert all(len(part) <= 200 for part in parts)
    inner = [part for part in parts if "line_number" in part]
    assert all(part.count("```") == 2 for part in inner)
    assert all("```python\n" in part for part in inner)
    assert [line for part in inner for line in part.splitlines() if line.startswith("line_")] == lines
    assert parts[-1].endswith("That is *all*.")


def test_fence_that_is_never_closed() -> None:
    """A fence that the mind forgot to close does no harm."""
    parts = split_markdown("```\n" + "word " * 100, 120)
    assert all(len(part) <= 120 for part in parts)
    assert sum(part.count("word") for part in parts) == 100


@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_lost(seed: int) -> None:
    """For any text, the parts contain everything visible in order, fit the limit, and are always the same."""
    chance = random.Random(seed)
    pieces = ["word", " ", " ", "\n", "\n\n", "🙂", "e\u0301", "```\n", "x" * 40, "    ", "~~~\n", "\u200d"]
    text = "".join(chance.choice(pieces) for _ in range(400))
    parts = split_rich(Rich(text), 60)
    assert "".join("".join(part.text for part in parts).split()) == "".join(text.split())
    assert all(0 < utf16_units(part.text) <= 60 for part in parts)
    assert all(part.text.strip() for part in parts)
    assert parts == split_rich(Rich(text), 60)
    fenced = split_markdown(text, 60)
    assert all(0 < len(part) <= 60 for part in fenced)
    assert _bare("".join(fenced)) == _bare(text)


@pytest.mark.parametrize("text", ["", "   ", "\n\n \n"])
def test_nothing_to_show(text: str) -> None:
    """A text without visible characters has no parts."""
    assert split_rich(Rich(text), 100) == []
    assert split_markdown(text, 100) == []


def test_the_longest_text_is_quick() -> None:
    """The longest text that a worker may send is split without a noticeable wait."""
    text = "word " * 52_000
    assert len(split_rich(Rich(text), 4096)) < 70


def _bare(text: str) -> str:
    """Return the text without spaces and fences."""
    return "".join(text.split()).replace("`", "").replace("~", "")


class Counted(Sequence[Span]):
    """Stretches that count how often one is looked at."""

    def __init__(self, found: list[Span]) -> None:
        self.looks = 0
        self._found = found

    def __len__(self) -> int:
        return len(self._found)

    @overload
    def __getitem__(self, at: int) -> Span: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Span]: ...
    def __getitem__(self, at: int | slice) -> Span | Sequence[Span]:
        self.looks += 1
        return self._found[at]


@pytest.mark.parametrize("unit", ["```\na\n```\n", "```\n", "\n", "a ", "é", "a\n\n"])
def test_the_work_grows_with_the_text(unit: str) -> None:
    """However long a text is, each of its characters is measured a few times, and each code block looked at seldom."""
    measured = 0

    def measure(text: str) -> int:
        nonlocal measured
        measured += len(text)
        return len(text)

    for size in (10_000, 40_000):
        text, measured = unit * (size // len(unit)), 0
        blocks = Counted([Span(at, at + len(unit)) for at in range(0, len(text), len(unit))])
        parts = spans(text, 2000, measure, blocks)
        assert measured <= 6 * size
        assert blocks.looks <= 60 * (len(parts) + 1)
        measured = 0
        assert all(len(part) <= 2000 for part in split_markdown(text, 2000, measure))
        assert measured <= 10 * size


def test_only_so_much_is_read_as_markdown() -> None:
    """The parser takes the square of what a model repeats, so what is very long stays as it was written."""
    assert render("**bold**").entities
    assert render("![" * RENDERED) == Rich("![" * RENDERED)
    assert render("**bold** " * RENDERED).entities == ()
