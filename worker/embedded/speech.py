"""A reply as it is spoken: without Markdown, addresses, emoji and everything else that only makes sense in writing."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

CODE: Final = "a piece of code"
LINK: Final = "a link"

_ADDRESS: Final = re.compile(r"(?:https?://|www\.)[^\s<>]*[^\s<>.,;:!?)\]\"']", re.IGNORECASE)
_LONG_NUMBER: Final = re.compile(r"\d{13,}")
"""A number beyond trillions is spoken digit by digit, because the voice has no name for it."""

_SPOKEN: Final = {"&": " and ", "°": " degrees ", "\u2013": " - ", "\u2018": "'", "’": "'"}
_SILENT_CATEGORIES: Final = frozenset({"So", "Sk", "Cf", "Co", "Cs", "Cn", "Cc", "Me"})
_SILENT: Final = frozenset("*_#`~|<>[]{}\\^\ufe0e\ufe0f")
_CLOSING: Final = "\"')\u201d"
_ENDS: Final = (".", "!", "?", ":", ";", ",", "…")


@functools.cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("lheading")


def speakable(markdown: str) -> str:
    """Return plain sentences, one paragraph per line, "" if there is nothing to say."""
    lines = (_line(block) for block in _blocks(_parser().parse(markdown)))
    return "\n".join(line for line in lines if line)


def foreign(text: str) -> bool:
    """Return whether most letters are not Latin, which is the only script that the voice can read."""
    letters = [letter for letter in text if letter.isalpha()]
    latin = sum(letter.isascii() or unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    return latin * 2 < len(letters)


def _blocks(tokens: Sequence[Token]) -> list[str]:
    """Return each paragraph, heading, list item and table row. The cells of a row are separated by commas."""
    blocks: list[str] = []
    cells: list[str] | None = None
    for token in tokens:
        match token.type:
            case "tr_open":
                cells = []
            case "tr_close":
                blocks.append(", ".join(filter(None, cells or [])))
                cells = None
            case "inline":
                (blocks if cells is None else cells).append(_inline(token.children or []))
            case "fence" | "code_block":
                blocks.append(CODE)
    return blocks


def _inline(tokens: Sequence[Token]) -> str:
    pieces = []
    for token in tokens:
        match token.type:
            case "text" | "code_inline" | "image":
                pieces.append(token.content)
            case "softbreak" | "hardbreak":
                pieces.append(" ")
    return "".join(pieces)


def _line(text: str) -> str:
    """Clean one block, and end it like a sentence, so that the voice pauses."""
    text = _ADDRESS.sub(LINK, text)
    text = _LONG_NUMBER.sub(lambda digits: " ".join(digits[0]), text)
    text = "".join(_SPOKEN.get(sign, sign) for sign in text)
    kept = (" " if _is_silent(sign) else sign for sign in text)
    text = " ".join("".join(kept).split())
    text = re.sub(r"\s+([.,;:!?…])", r"\1", text)
    if not any(sign.isalnum() for sign in text):
        return ""
    return text if text.rstrip(_CLOSING).endswith(_ENDS) else f"{text}."


def _is_silent(sign: str) -> bool:
    return sign in _SILENT or unicodedata.category(sign) in _SILENT_CATEGORIES
