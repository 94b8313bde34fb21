"""Questions for an attribute: "what colour is my bicycle" is about the bicycle, and its note may not say "colour"."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_COLOURS: Final = (
    r"red|green|blue|yellow|orange|purple|violet|pink|brown|black|white|gr[ae]y|beige|turquoise|silver|gold(?:en)?|dark"
    r"|light|cream|maroon|navy|teal|magenta|cyan|ivory|bronze|copper|transparent|colou?r\w*"
)
_DAYS: Final = (
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?|january|february|march|april|may|june|july|august|september|october"
    r"|november|december|today|tomorrow|tonight|yesterday|spring|summer|autumn|winter|noon|midnight|morning|evening"
    r"|o'clock|week|month|year"
)
_PLACES: Final = r"in|at|on|under|behind|near|next|above|below|beside|between|by|inside|outside|opposite"
_NUMBERS: Final = r"\d[\d.,:/-]*|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|hundred|thousand"


class Attribute(NamedTuple):
    """How it is asked for, and what a line has that tells it."""

    asked: re.Pattern[str]
    told: re.Pattern[str]


def _attribute(asked: str, told: str = "") -> Attribute:
    return Attribute(re.compile(rf"\b(?:{asked})\b"), re.compile(rf"\b(?:{told})\b" if told else "", re.IGNORECASE))


_ATTRIBUTES: Final = (
    _attribute(r"(?:what |which )?colou?rs?", _COLOURS),
    _attribute(r"how (?:old|young)|(?:what )?age", rf"{_NUMBERS}|born|old|years?|months?"),
    _attribute(
        r"how (?:big|large|small|tall|long|short|wide|broad|high|deep|heavy|far|fast)|"
        r"(?:what )?(?:size|height|weight|length|width|distance)",
        rf"{_NUMBERS}|size|small|medium|large|big|tall|short|long",
    ),
    _attribute(r"how (?:many|much|often|expensive)|(?:what )?(?:price|cost|amount|number|code)s?", _NUMBERS),
    _attribute(r"when|what (?:day|date|time|month|year)|(?:on |at )?which (?:day|date)|date", rf"{_DAYS}|{_NUMBERS}"),
    _attribute(r"where|(?:in |at )?(?:what|which) (?:place|street|city|town|country|room|floor)|location", _PLACES),
    _attribute(r"(?:what|which) (?:kind|type|sort|brand|make|model|breed)(?: of)?|brand|breed"),
    _attribute(r"(?:what |which )?name|called|named", r"name|named|called"),
    _attribute(r"made of|(?:what |which )?(?:shape|material|flavou?r|taste|language)"),
)

_MINE: Final = re.compile(
    r"(?:what|which|how|where|when)\b.{0,40}\b(?:is|are|was|were|does|do|did|has|have|of) (?:my|our) [\w' -]{2,60}\Z"
)


def attribute_of(question: str) -> Attribute | None:
    """Return the attribute that a question in lower case asks for, or None."""
    return next((one for one in _ATTRIBUTES if one.asked.search(question)), None)


def asks_for_attribute(question: str) -> bool:
    """Return whether a question in lower case asks for an attribute of something that belongs to the person."""
    return _MINE.match(question) is not None and attribute_of(re.split(" (?:my|our) ", question)[0]) is not None
