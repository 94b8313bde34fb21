"""A reply as it is said aloud: without Markdown, addresses, emoji, and whatever else is only for the eye."""

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
"""Beyond trillions a number is said digit by digit: the voice knows no name for it."""

_SPOKEN: Final = {"&": " and ", "°": " degrees ", "\u2013": " - ", "\u2018": "'", "’": "'"}
_SILENT_CATEGORIES: Final = frozenset({"So", "Sk", "Cf", "Co", "Cs", "Cn", "Cc", "Me"})
_SILENT: Final = frozenset("*_#`~|<>[]{}\\^\ufe0e\ufe0f")
_CLOSING: Final = "\"')\u201d"
_ENDS: Final = (".", "!", "?", ":", ";", ",", "…")


@functools.cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("lheading")


def speakable(markdown: str) -> str:
    """Return plain sentences, a paragraph a line; "" when there is nothing to say."""
    lines = (_line(block) for block in _blocks(_parser().parse(markdown)))
    return "\n".join(line for line in lines if line)


def foreign(text: str) -> bool:
    """Whether most letters are none of the Latin script, which is all that the voice can read."""
    letters = [letter for letter in text if letter.isalpha()]
    latin = sum(letter.isascii() or unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    return latin * 2 < len(letters)


def _blocks(tokens: Sequence[Token]) -> list[str]:
    """Every paragraph, heading, list item and table row on its own; a table's cells are told one after the other."""
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
    """Clean one block, and end it as a sentence ends, so that the voice makes a pause."""
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
