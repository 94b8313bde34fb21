"""The English words of time: numbers, units, days, months, parts of the day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import time
from typing import Final

# fmt: off
NUMBERS: Final = {
    "a": 1, "an": 1, "one": 1, "two": 2, "a couple of": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15,
    "sixteen": 16, "eighteen": 18, "twenty": 20, "twenty-five": 25, "thirty": 30, "forty": 40, "forty-five": 45,
    "fifty": 50, "sixty": 60, "ninety": 90,
}
ORDINALS: Final = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "eleventh": 11, "twelfth": 12, "thirteenth": 13, "fourteenth": 14, "fifteenth": 15, "sixteenth": 16,
    "seventeenth": 17, "eighteenth": 18, "nineteenth": 19, "twentieth": 20, "thirtieth": 30,
}
SECONDS: Final = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hr": 3600, "hour": 3600}
DAYS: Final = {"day": 1, "week": 7, "fortnight": 14}
MONTHS_IN: Final = {"month": 1, "year": 12}

WEEKDAYS: Final = {
    "monday": 0, "mon": 0, "tuesday": 1, "tue": 1, "tues": 1, "wednesday": 2, "wed": 2, "thursday": 3, "thu": 3,
    "thur": 3, "thurs": 3, "friday": 4, "fri": 4, "saturday": 5, "sat": 5, "sunday": 6, "sun": 6,
}
"""As ``date.weekday`` counts them."""

MONTHS: Final = {
    "january": 1, "jan": 1, "february": 2, "feb": 2, "march": 3, "mar": 3, "april": 4, "apr": 4, "may": 5, "june": 6,
    "jun": 6, "july": 7, "jul": 7, "august": 8, "aug": 8, "september": 9, "sep": 9, "sept": 9, "october": 10, "oct": 10,
    "november": 11, "nov": 11, "december": 12, "dec": 12,
}
# fmt: on

PARTS: Final = {"morning": time(8), "afternoon": time(15), "evening": time(19), "night": time(21)}
"""When a part of the day is, if nothing more exact is said."""

DAYTIME: Final = time(9)
"""When a day is, if no time is said."""

ORDINAL: Final = rf"(?:\d{{1,2}}(?:st|nd|rd|th)|{'|'.join(sorted(ORDINALS, key=len, reverse=True))})"
PART: Final = rf"(?P<part>{'|'.join(PARTS)})"


def any_of(words: Iterable[str]) -> str:
    """Return a pattern for these words, the longest first."""
    return "|".join(sorted(words, key=len, reverse=True))


NUMBER: Final = rf"(?:\d{{1,4}}(?:[.,]\d)?|{any_of(NUMBERS)})"
WEEKDAY: Final = rf"(?:{any_of(WEEKDAYS)})"
MONTH: Final = rf"(?P<month>{any_of(MONTHS)})\.?"
EACH: Final = r"(?:every|each)"


def number(word: str) -> float:
    """Return the number that a word or figures mean."""
    return NUMBERS[word] if word in NUMBERS else float(word.replace(",", "."))


def ordinal(word: str) -> int:
    """Return the number that an ordinal means: first, 1st."""
    return ORDINALS[word] if word in ORDINALS else int(word.rstrip("stndrh"))
