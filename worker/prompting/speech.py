"""What of her words is said aloud."""

from __future__ import annotations

import re
from typing import Final

SPOKEN_CHARS: Final = 600
"""A longer answer is read more easily than heard: about forty seconds."""

_LINK: Final = re.compile(r"!?\[([^\]\n]*)\]\([^)\s]*\)")
_LINE_START: Final = re.compile(r"(?m)^\s*(?:#{1,6}|>+|[-*+])\s+")
_MARKUP: Final = re.compile(r"\*+|`+|~~|(?<!\w)_+|_+(?!\w)")


def speakable(words: str) -> str:
    """Take Markdown's marks out of the words, which nobody wants to hear."""
    plain = _MARKUP.sub("", _LINE_START.sub("", _LINK.sub(r"\1", words))).strip()
    return plain or words
