"""Where people see a border between two characters, so that a text is never cut inside of one.

These are the rules of https://www.unicode.org/reports/tr29/#Grapheme_Cluster_Boundary_Rules, as far as Python's tables
carry them: marks and joiners, emoji with their modifiers, flags of two letters and of tags, and Hangul in parts.
"""

from __future__ import annotations

import unicodedata
from typing import Final

LONGEST: Final = 64
"""Code points of one visible character. Longer ones, which nobody can read, are cut anywhere."""

_JOINER: Final = "\u200d"
_MARKS: Final = frozenset({"Mn", "Me", "Mc"})


def border(text: str, start: int, reach: int) -> int:
    """Return the last border after ``start`` and at or before ``reach``; ``reach`` if there is none near."""
    for at in range(reach, max(start, reach - LONGEST), -1):
        if at >= len(text) or not _inside(text, start, at):
            return at
    return reach


def clipped(text: str, limit: int) -> str:
    """Return the beginning of a text, at most ``limit`` code points."""
    return text if len(text) <= limit else text[: border(text, 0, limit)]


def _inside(text: str, start: int, at: int) -> bool:
    """Whether ``text[at - 1]`` and ``text[at]`` belong to one visible character. The text is read from ``start``."""
    before, after = text[at - 1], text[at]
    if before in "\r\n" or after in "\r\n":
        return (before, after) == ("\r", "\n")
    if _extends(after) or before == _JOINER:
        return True
    if _is_flag_letter(after):
        return _flag_letters_before(text, start, at) % 2 == 1
    return _is_one_syllable(before, after)


def _extends(character: str) -> bool:
    """Marks, joiners, variation selectors, skin tones, tags, vowels that end in Thai and Lao, voicing marks."""
    return (
        unicodedata.category(character) in _MARKS
        or character in "\u200c\u200d"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
        or "\U000e0020" <= character <= "\U000e007f"
        or character in "\u0e33\u0eb3\uff9e\uff9f"
    )


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flag_letters_before(text: str, start: int, at: int) -> int:
    first = at
    while first > start and _is_flag_letter(text[first - 1]):
        first -= 1
    return at - first


def _is_one_syllable(before: str, after: str) -> bool:
    """Whether two jamo, or a syllable and a jamo, belong together (rules GB6 to GB8)."""
    match _hangul(before):
        case "L":
            return _hangul(after) in ("L", "V", "LV", "LVT")
        case "V" | "LV":
            return _hangul(after) in ("V", "T")
        case "T" | "LVT":
            return _hangul(after) == "T"
        case _:
            return False


def _hangul(character: str) -> str:
    """Return the Hangul syllable type, "" for anything else (https://www.unicode.org/reports/tr44/#Hangul_Syllable_Type)."""
    if "\u1100" <= character <= "\u115f" or "\ua960" <= character <= "\ua97c":
        return "L"
    if "\u1160" <= character <= "\u11a7" or "\ud7b0" <= character <= "\ud7c6":
        return "V"
    if "\u11a8" <= character <= "\u11ff" or "\ud7cb" <= character <= "\ud7fb":
        return "T"
    if "\uac00" <= character <= "\ud7a3":
        return "LVT" if (ord(character) - 0xAC00) % 28 else "LV"
    return ""
