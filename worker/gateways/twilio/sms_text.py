"""Rewrites her text with the characters that are cheap in a text message.

A segment holds 160 GSM-7 characters, but only 70 if even one character is not GSM-7, and each segment is billed
(https://www.twilio.com/docs/glossary/what-sms-character-limit; 3GPP TS 23.038, 6.2.1).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from worker.gateways.common.markdown import BULLET, RULE

GSM_7: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED: Final = frozenset("^{}\\[~]|€\f")
"""Each of these counts as two characters."""

_CHEAP: Final = str.maketrans(
    {
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033", '"'),
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2039\u203a\u2032\u00b4`", "'"),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\t", " "),
        **dict.fromkeys("\u2022\u00b7\u2023\u25e6", "-"),
        **dict.fromkeys("\u200b\u00ad\ufeff"),
        "\u2026": "...",
        "\u00d7": "x",
        "\u2192": "->",
        "\u2190": "<-",
        "\u00a9": "(c)",
        "\u00ae": "(R)",
        "\u2122": "(TM)",
        "\u00bd": "1/2",
    }
)
_LEFT: Final = re.compile("(?: |(?<!\0))\0++(?= |\n|$)")
"""A blank before emoji that are followed by another blank or by the end of a line."""

_JOINERS: Final = frozenset("\u200d\ufe0e\ufe0f\u20e3")


def cheap(text: str) -> str:
    """Replace typography and drop emoji if that saves segments; otherwise return the text unchanged."""
    composed = unicodedata.normalize("NFC", text).replace(RULE, "---").replace(BULLET, "- ")
    mapped = composed.translate(_CHEAP)
    for candidate in (mapped, _bare(mapped)):
        if candidate.strip() and is_gsm(candidate):
            return candidate if segments(candidate) < segments(text) else text
    return text


def is_gsm(text: str) -> bool:
    """Whether every character belongs to GSM-7."""
    return all(character in GSM_7 or character in EXTENDED for character in text)


def segments(text: str) -> int:
    """Return how many segments are billed for this text."""
    if is_gsm(text):
        length = sum(2 if character in EXTENDED else 1 for character in text)
        return 1 if length <= 160 else -(-length // 153)
    length = len(text.encode("utf-16-le")) // 2
    return 1 if length <= 70 else -(-length // 67)


def _bare(text: str) -> str:
    """Return the text without emoji, their modifiers, and the blanks that they leave behind."""
    kept = "".join(
        "\0" if character in _JOINERS or unicodedata.category(character) == "So" or _is_tone(character) else character
        for character in text
    )
    return _LEFT.sub("", kept).replace("\0", "").strip()


def _is_tone(character: str) -> bool:
    """Whether it is a skin tone for the emoji before it."""
    return "\U0001f3fb" <= character <= "\U0001f3ff"
