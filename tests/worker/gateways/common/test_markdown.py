"""The mind's Markdown as formatted text."""

from __future__ import annotations

import random

import pytest

from worker.gateways.common.markdown import render


def forms(markdown: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the text, and each entity's type with its part of the text."""
    rich = render(markdown)
    return rich.text, [(e.type, rich.text[e.offset : e.offset + e.length]) for e in rich.entities]


@pytest.mark.parametrize(
    ("markdown", "text", "expected"),
    [
        ("plain words, 2 * 3 * 4, snake_case_name", "plain words, 2 * 3 * 4, snake_case_name", []),
        ("**b** *i* ~~s~~ `c`", "b i s c", [("bold", "b"), ("italic", "i"), ("strikethrough", "s"), ("code", "c")]),
        ("***both***", "both", [("italic", "both"), ("bold", "both")]),
        ("**see `x` now**", "see x now", [("bold", "see "), ("code", "x"), ("bold", " now")]),
        ("# Title\ntext", "Title\n\ntext", [("bold", "Title")]),
        ("one\ntwo  \nthree", "one\ntwo\nthree", []),
        ("one\n\n\n\ntwo", "one\n\ntwo", []),
        ("text\n---\nmore", "text\n\n———\n\nmore", []),
        ("> quoted\n> > deeper", "quoted\n\ndeeper", [("blockquote", "quoted\n\ndeeper")]),
        ("```python\nx = 1\n\ny\n```", "x = 1\n\ny", [("pre", "x = 1\n\ny")]),
        ("```\nnever closed", "never closed", [("pre", "never closed")]),
        ("<b>html</b> &amp; 1 < 2", "<b>html</b> & 1 < 2", []),
        ("**unbalanced *x `y [z](", "**unbalanced *x `y [z](", []),
        ("![a cat](https://e.org/c.png)", "a cat", [("text_link", "a cat")]),
        ("[here](notes/today.md)", "here (notes/today.md)", []),
        ("[x](javascript:alert)", "[x](javascript:alert)", []),
    ],
)
def test_forms(markdown: str, text: str, expected: list[tuple[str, str]]) -> None:
    """What CommonMark treats as markup becomes formatting; everything else stays as it was written."""
    shown, found = forms(markdown)
    assert shown == text
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(
    "written",
    [
        "2*3*4 = 24",
        "2**3**4",
        "a = *p*2",
        "(a+b)*c*(d)",
        "open __init__.py and __main__.py",
        "if __name__ == x",
        "*.py files in src/*.txt",
        "src/**/*.py",
        "/* a comment */",
        "def f(*args, **kwargs)",
        r"\(\pi r^2\) and \[x_1 * y_2 = *z*\]",
        "$$a_1 + *b* + \\{c\\}$$",
        "- 5 degrees",
        "+ 5 degrees",
        "un*believ*able",
    ],
)
def test_no_markup(written: str) -> None:
    """Sums, names in code, paths, patterns, formulas and signs are shown as they were written, without formatting."""
    assert forms(written) == (written, [])


@pytest.mark.parametrize(
    ("markdown", "text", "expected"),
    [
        ("**API**s", "APIs", [("bold", "API")]),
        ("这是**重点**内容", "这是重点内容", [("bold", "重点")]),
        ("東京*都*に", "東京都に", [("italic", "都")]),
        ('(*aside*) and *"said"*.', '(aside) and "said".', [("italic", "aside"), ("italic", '"said"')]),
        ("*...wait*", "...wait", [("italic", "...wait")]),
        ("_word_ and __two words__", "word and two words", [("italic", "word"), ("bold", "two words")]),
        (r"\(not a formula\) 4\*5", "(not a formula) 4*5", []),
        ("- 5 apples\n- 6 pears", "• 5 apples\n• 6 pears", []),
        ("- one", "• one", []),
    ],
)
def test_still_markup(markdown: str, text: str, expected: list[tuple[str, str]]) -> None:
    """What its writer can have meant as markup stays markup."""
    assert forms(markdown) == (text, expected)


def test_lists() -> None:
    """Lists keep their numbers and their nesting; the text after them is a paragraph."""
    markdown = "- one\n- two\n  - deeper\n    still\n- three\n\n3) third\n4) fourth\n\nafter"
    text = "• one\n• two\n  • deeper\n    still\n• three\n\n3) third\n4) fourth\n\nafter"
    assert render(markdown).text == text


def test_link_and_language() -> None:
    """A link keeps its address, a code block its language."""
    link, block = render("[site](https://example.org/a?b=c)\n\n```rust ignore\nfn\n```").entities
    assert (link.url, block.language) == ("https://example.org/a?b=c", "rust")


def test_table() -> None:
    """A table is laid out in columns of equal width."""
    text, found = forms("| a | long head |\n|---|:-:|\n| 1 | `x` |\n| 22 | |")
    assert text == "a  | long head\n---+----------\n1  | x\n22 |"
    assert found == [("pre", text)]


@pytest.mark.parametrize("markdown", ["", "   ", "\n", "[]()", "**", "#", "-", ">", "```\n```", "\\"])
def test_what_shows_nothing(markdown: str) -> None:
    """A text that would show nothing after rendering is shown unchanged."""
    assert render(markdown).text.strip() or not markdown.strip()


@pytest.mark.parametrize("seed", range(60))
def test_never_fails(seed: int) -> None:
    """Whatever a mind writes becomes a text whose entities lie within it."""
    chance = random.Random(seed)
    pieces = ["**", "*", "_", "`", "```", "~~", "[", "](", ")", "![", ">", "- ", "1. ", "# ", "|", "\n", "\n\n", "    ",
              "word", "🙂", "<", "&", "\\", "---", "|-|-|", "https://x.y", "\x00", "\t", "<http://a.b>"]  # fmt: skip
    rich = render("".join(chance.choice(pieces) for _ in range(chance.randrange(1, 200))))
    assert all(0 <= e.offset < e.offset + e.length <= len(rich.text) for e in rich.entities)


@pytest.mark.parametrize("markdown", ["> " * 3000 + "x", "[" * 5000, "*a " * 5000, "- " * 2000 + "x", "`" * 9999])
def test_deep_nesting(markdown: str) -> None:
    """Very deeply nested markup neither fails nor takes long."""
    assert render(markdown).text
