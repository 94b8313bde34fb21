"""Text from outside, made valid where it enters.

JSON can hold half of a surrogate pair (RFC 8259, section 8.2). Programs that cut a text between two UTF-16 units write
one. UTF-8 cannot hold it (RFC 3629, section 3), so the next write of the text would raise. NUL is valid, but ends a
text early in SQLite's functions and in programs written in C. Both become U+FFFD.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

_ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<unfit>\\u(?:[dD][89a-fA-F][0-9a-fA-F]{2}|0000))|\\.",
    re.DOTALL,
)
"""Whole pairs and other escapes are passed over, so that the ``u`` after an escaped backslash is none."""


def valid_text(text: str) -> str:
    """Join the halves of pairs, and replace lone halves and NULs with U+FFFD. No text becomes longer."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\0", REPLACEMENT)


def valid_texts(value: T) -> T:
    """Do so in every text inside a value of lists, tuples, dicts and Structs; everything else stays as it is."""
    found: Any = value  # Any: each kind of value is taken apart in its own way
    if isinstance(value, str):
        found = valid_text(value)
    elif isinstance(value, list):
        found = [valid_texts(one) for one in value]
    elif isinstance(value, tuple):
        found = tuple(valid_texts(one) for one in value)
    elif isinstance(value, dict):
        found = {valid_texts(key): valid_texts(one) for key, one in value.items()}
    elif isinstance(value, msgspec.Struct):
        fields = {name: valid_texts(getattr(value, name)) for name in value.__struct_fields__}
        found = msgspec.structs.replace(value, **fields)
    kept: T = found
    return kept


def valid_json(document: bytes | str) -> bytes:
    """Return a JSON document whose texts are valid. What is no JSON stays none."""
    raw = valid_text(document).encode() if isinstance(document, str) else document
    try:
        raw.decode()
    except UnicodeDecodeError:
        raw = raw.decode(errors="replace").encode()
    return _ESCAPE.sub(_fit, raw) if b"\\u" in raw else raw


def _fit(escape: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if escape["unfit"] else escape[0]
