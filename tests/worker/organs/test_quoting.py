"""Quotations by code, out of what the library finds."""

from __future__ import annotations

import pytest

from worker.organs.quoting import QUOTE_CHARS, found, quote

RENT = "[budget.pdf, page 12] The heating is the owner's.\n\nThe rent is 900 euros a month. It is due on the first."
CAKE = "[[draft] notes.md, section Cake] Bake the cake for 40 minutes."
NOTE = "(There was no time yet to read big.pdf. Ask again later.)"
FOUND = f"{CAKE}\n\n{RENT}\n\n{NOTE}"


def test_passages_are_taken_apart() -> None:
    """Passages may hold blank lines and brackets, and the library's note is none of them."""
    assert [(one.source, one.text[:8]) for one in found(FOUND)] == [
        ("[draft] notes.md, section Cake", "Bake the"),
        ("budget.pdf, page 12", "The heat"),
    ]


@pytest.mark.parametrize(
    ("question", "quotation"),
    [
        ("What is the rent?", 'budget.pdf, page 12: "The rent is 900 euros a month. It is due on the first."'),
        ("How long do I bake the cake?", '[draft] notes.md, section Cake: "Bake the cake for 40 minutes."'),
        ("How high is the mountain?", ""),
        ("What is the rent of the castle on the mountain?", ""),
        ("Tell me about it", ""),
    ],
)
def test_the_best_sentence_is_quoted(question: str, quotation: str) -> None:
    """What answers the question is quoted with its place; without a good match nothing is."""
    assert quote(FOUND, question) == quotation


def test_two_places_that_match_alike() -> None:
    """Two passages that answer equally well are both quoted, and a long one is cut."""
    long = f"[a.txt, lines 1-9] The rent {'x' * 50} {'word ' * 200}"
    lines = quote(f"{RENT}\n\n{long}", "rent?").splitlines()
    assert [line.partition(":")[0] for line in lines] == ["budget.pdf, page 12", "a.txt, lines 1-9"]
    assert all(len(line) < QUOTE_CHARS + 40 for line in lines)
    assert lines[1].endswith(' ..."')


def test_nothing_found() -> None:
    """No passages, no quotation."""
    assert quote("", "What is the rent?") == ""
    assert quote(NOTE, "no time yet to read") == ""
