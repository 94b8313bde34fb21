"""The size and the cost of text messages."""

from __future__ import annotations

import pytest

from worker.gateways.common.markdown import plain
from worker.gateways.twilio.sms_text import cheap, segments

LONG = "and so on " * 8
"""80 characters, more than fit into a segment that is not GSM-7."""


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 307, 3),
        ("\u20ac" * 80, 1),
        ("\u20ac" * 81, 2),
        ("\u4f60" * 70, 1),
        ("\u4f60" * 71, 2),
        ("\U0001f642" * 35, 1),
        ("\U0001f642" * 36, 2),
    ],
)
def test_segments(text: str, count: int) -> None:
    """The published sizes: 160 and 153 septets, 70 and 67 UTF-16 units; some characters count twice."""
    assert segments(text) == count


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("it\u2019s", "it\u2019s"),
        (f"it\u2019s {LONG}", f"it's {LONG}"),
        (f"a  b\u2014c \u2026{LONG}", f"a  b-c ...{LONG}"),
        (f"so \U0001f44d\U0001f3fd good \u2764\ufe0f\n{LONG}end \U0001f642", f"so good\n{LONG}end"),
        (f"\u00dcber {LONG}", f"\u00dcber {LONG}"),
        (f"\u4f60\u201c{LONG}\u201d", f"\u4f60\u201c{LONG}\u201d"),
        ("\U0001f642" * 40, "\U0001f642" * 40),
    ],
)
def test_cheap(text: str, sent: str) -> None:
    """Typography and emoji are replaced if that saves a segment; words never change."""
    assert cheap(text) == sent


def test_plain() -> None:
    """Markdown loses its markup; an address that the text already shows is not repeated."""
    text = "# Title\n\n1. **one** `code`\n2. [two](https://example.org/2) <https://example.org>"
    assert plain(text) == "Title\n\n1. one code\n2. two (https://example.org/2) https://example.org"
