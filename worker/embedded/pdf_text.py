"""The text of a PDF's page as people read it: whether its letters can be read, and words from right to left."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final

MOST_PAGE_TEXT: Final = 200_000
"""Characters of one page."""

LEGIBLE: Final = 8
"""Letters and digits. A page with fewer is read as a picture."""

MOST_ILLEGIBLE: Final = 0.3
"""The share of characters that stand for no letter above which a page is read as a picture, too."""

_ILLEGIBLE: Final = frozenset(("Cc", "Cn", "Co", "Cs"))
"""What PDFium gives for the glyphs of a font that does not say which letters they are (PDF 32000-1, 9.10.2)."""

_RIGHT_TO_LEFT: Final = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]+(?: +[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]+)*"
)
"""Words of Hebrew, Arabic and their relatives, also in their older forms by position."""

_FORMS: Final = re.compile("[\ufb1d-\ufdff\ufe70-\ufefc]+")


def is_legible(words: str) -> bool:
    """Return whether a page's text has enough letters, and most of its characters are some."""
    dense = [one for one in words if not one.isspace()]
    letters = sum(one.isalnum() for one in dense)
    broken = sum(one == "\ufffd" or (one != "\ufffe" and unicodedata.category(one) in _ILLEGIBLE) for one in dense)
    return letters >= LEGIBLE and broken <= MOST_ILLEGIBLE * len(dense)


def text_of(page: Any) -> str:
    """Return the page's text as its fonts give it. Raises pypdfium2.PdfiumError."""
    # Any: pypdfium2 has no types.
    text = page.get_textpage()
    try:
        words = str(text.get_text_bounded())[:MOST_PAGE_TEXT]
        return _in_order(text) if _RIGHT_TO_LEFT.search(words) else words
    finally:
        text.close()


def _in_order(text: Any) -> str:
    """Return the text with each word from right to left in the order in which it is read.

    PDFium turns such words round, because most programs draw them from left to right. Chromium draws them in reading
    order, each letter to the left of the one before, so that they come out reversed: their places tell.
    """
    from pypdfium2 import raw

    count = min(text.count_chars(), MOST_PAGE_TEXT)
    letters = "".join(chr(raw.FPDFText_GetUnicode(text, at)) for at in range(count))
    parts: list[str] = []
    end = 0
    for run in _RIGHT_TO_LEFT.finditer(letters):
        parts += [letters[end : run.start()], _turned(text, run)]
        end = run.end()
    return "".join([*parts, letters[end:]])


def _turned(text: Any, run: re.Match[str]) -> str:
    words: list[str] = []
    places: list[float] = []
    for word in re.finditer(r"[^ ]+", run[0]):
        begin, end = run.start() + word.start(), run.start() + word.end() - 1
        first, last = text.get_charbox(begin)[0], text.get_charbox(end)[0]
        plain = word[0][::-1] if first < last else word[0]
        words.append(_FORMS.sub(lambda form: unicodedata.normalize("NFKC", form[0]), plain))
        places.append(first)
    return " ".join(words[::-1] if places[0] < places[-1] else words)
