"""Quotations by code from the library's results."""

from __future__ import annotations

import pytest

from worker.organs.quoting import QUOTE_CHARS, Passage, found, quote, quote_line

RENT = "[budget.pdf, page 12] The heating is the owner's.\n\nThe rent is 900 euros a month. It is due on the first."
CAKE = "[[draft] notes.md, section Cake] Bake the cake for 40 minutes."
NOTE = "(There was no time yet to read big.pdf. Ask again later.)"
FOUND = f"{CAKE}\n\n{RENT}\n\n{NOTE}"


def test_passages_are_taken_apart() -> None:
    """Passages may contain blank lines and brackets, and the library's note is not one of them."""
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
    """The answer to a question is quoted with its source; without a good match nothing is quoted."""
    assert quote(FOUND, question) == quotation


def test_two_places_that_match_alike() -> None:
    """Two equally good passages are both quoted, and a long one is cut."""
    long = f"[a.txt, lines 1-9] The rent {'x' * 50} {'word ' * 200}"
    lines = quote(f"{RENT}\n\n{long}", "rent?").splitlines()
    assert [line.partition(":")[0] for line in lines] == ["budget.pdf, page 12", "a.txt, lines 1-9"]
    assert all(len(line) < QUOTE_CHARS + 40 for line in lines)
    assert lines[1].endswith(' ..."')


def test_a_sentence_over_two_lines() -> None:
    """A sentence that is wrapped over two lines of a page is quoted in full."""
    wrapped = "[manual.pdf, page 23] General remarks.\nThe\nemergency shutdown\ncode is 4471.\nNext chapter."
    assert quote(wrapped, "What is the shutdown code?").startswith(
        'manual.pdf, page 23: "The emergency shutdown code is 4471.'
    )


def test_a_line_of_a_picture() -> None:
    """Text that was read in an earlier picture is quoted by line, the newest picture first."""
    seen = [Passage("old.png", "Bread 2.99"), Passage("list.png", "Grocery list\nMilk 2.49\nBread 3.15")]
    assert quote_line(seen, "How much is the bread?") == 'list.png: "Bread 3.15"'
    assert quote_line(seen, "Do you like the sea?") == ""
    assert quote_line([], "How much is the bread?") == ""
    note = Passage("note.jpg", "Hello!\nGARDEN MEETING\nThursday 14 May\nRoom 7\n(This eye reads text.)")
    assert quote_line([note], "When is the garden meeting?") == 'note.jpg: "GARDEN MEETING / Thursday 14 May / Room 7"'


def test_nothing_found() -> None:
    """No passages, no quotation."""
    assert quote("", "What is the rent?") == ""
    assert quote(NOTE, "no time yet to read") == ""
