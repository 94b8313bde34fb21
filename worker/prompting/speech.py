"""Which of her answers are spoken, and their text without markup."""

from __future__ import annotations

import re
from typing import Final

SPOKEN_CHARS: Final = 600
"""Longer answers are easier to read than to hear. This many characters take about forty seconds."""

# No pattern may look at a stretch of text again from each of its places: a small model may repeat itself for pages.
_LINK: Final = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\s]*\)")
_LINE_START: Final = re.compile(r"(?m)^[ \t]*(?:#{1,6}|>+|[-*+])[ \t]+")
_MARKUP: Final = re.compile(r"\*+|`+|~~|(?<!\w)_+|(?<!_)_++(?!\w)")


def speakable(words: str) -> str:
    """Remove Markdown's markup, which would otherwise be read aloud."""
    plain = _MARKUP.sub("", _LINE_START.sub("", _LINK.sub(r"\1", words))).strip()
    return plain or words
