"""Converts an answer's HTML to plain text: each block on its own line, list items as bullets, other tags dropped."""

from __future__ import annotations

import html
import re
from typing import Final

LONGEST: Final = 256 * 1024
"""Characters of HTML that are read. The result has the same bound as every other line."""

_TAG: Final = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,15})(?:\s[^<>]{0,2000})?/?>|<!--[^<>]{0,2000}-->")
_BLOCKS: Final = frozenset(
    (
        *("p", "div", "br", "hr", "pre", "blockquote", "section", "article", "ul", "ol", "li", "table", "tr"),
        *("h1", "h2", "h3", "h4", "h5", "h6"),
    )
)
_CELLS: Final = frozenset(("td", "th"))
_SPACES: Final = re.compile(r"[ \t\r\f\v]+")
_EMPTY_LINES: Final = re.compile(r" ?\n(?: ?\n)+ ?")


def plain_text(source: str) -> str:
    """Return the text of ``source``."""
    text = _TAG.sub(_said_by, source[:LONGEST])
    text = _SPACES.sub(" ", html.unescape(text).replace("\xa0", " "))
    return _EMPTY_LINES.sub("\n", text).replace(" \n", "\n").replace("\n ", "\n").strip()


def _said_by(tag: re.Match[str]) -> str:
    name = (tag[2] or "").lower()
    if name == "li" and not tag[1]:
        return "\n- "
    if name in _CELLS:
        return " "
    return "\n" if name in _BLOCKS else ""
