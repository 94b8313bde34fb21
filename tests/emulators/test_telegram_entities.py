"""Formatted texts as Telegram parses them."""

from __future__ import annotations

import re

import pytest

from tests.emulators.telegram_entities import EntityError, parse, render


@pytest.mark.parametrize(
    ("mode", "text", "shown"),
    [
        ("HTML", "<b>a<i>😀</i></b>!", "<bold>a<italic>😀</italic></bold>!"),
        ("HTML", '<a href="https://x.org">x</a>', "<text_link https://x.org>x</text_link>"),
        ("HTML", '<pre><code class="language-py">a &lt; b</code></pre>', "<pre py>a < b</pre>"),
        ("HTML", "<blockquote expandable>q</blockquote>&#33;", "<expandable_blockquote>q</expandable_blockquote>!"),
        ("MarkdownV2", r"*b _i_* 1\.", "<bold>b <italic>i</italic></bold> 1."),
        ("MarkdownV2", "__u__ ~s~", "<underline>u</underline> <strikethrough>s</strikethrough>"),
        ("MarkdownV2", "||x||", "<spoiler>x</spoiler>"),
        ("MarkdownV2", "```py\na.b\n``` `c*d`", "<pre py>a.b\n</pre> <code>c*d</code>"),
        ("MarkdownV2", "[x\\.](https://x.org/a\\)b)", "<text_link https://x.org/a)b>x.</text_link>"),
        ("MarkdownV2", ">one\n>two\nthree", "<blockquote>one\ntwo</blockquote>\nthree"),
    ],
)
def test_formatted_text(mode: str, text: str, shown: str) -> None:
    """Both parse modes give the entities that Telegram gives."""
    assert render(*parse(text, mode)) == shown


@pytest.mark.parametrize(
    ("mode", "text", "complaint"),
    [
        ("HTML", "<x>y</x>", 'Unsupported start tag "x" at byte offset 0'),
        ("HTML", "ä</b>", "Unexpected end tag at byte offset 2"),
        ("HTML", "<b><i>x</b></i>", 'Unmatched end tag at byte offset 7, expected "</i>", found "</b>"'),
        ("MarkdownV2", "ä *b", "Can't find end of Bold entity at byte offset 3"),
        ("MarkdownV2", "`b", "Can't find end of Code entity at byte offset 0"),
        ("MarkdownV2", "a-b", "Character '-' is reserved and must be escaped with the preceding '\\'"),
        ("MarkdownV2", "[a](b", "Can't find end of a URL at byte offset 3"),
    ],
)
def test_formatting_errors(mode: str, text: str, complaint: str) -> None:
    """Bad formatting is refused with Telegram's error text and the place in bytes."""
    with pytest.raises(EntityError, match=re.escape(complaint)):
        parse(text, mode)
