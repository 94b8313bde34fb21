"""What foreign bytes look like: any text, any JSON, forms that are nearly right, files that somebody bent."""

from __future__ import annotations

import base64
import io
import itertools
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from hypothesis import strategies as st

E = TypeVar("E", bound=BaseException)

SECRET: Final = "quite-a-SECRET-4711"
"""Something that no error text may quote."""

DEEP: Final = 100_000
"""Brackets: far more than Python's stack holds."""

texts = st.text(max_size=60)
"""Any code points, halves of surrogate pairs and NULs among them."""

awkward = st.sampled_from(
    [
        *("", " ", "\0", "\ud83d", "\ude00", "\ud83d\ude00", "é", "e\u0301", "\r\n", "\u2028", "\ufeff", "\u202e"),
        *("👩\u200d👩\u200d👧", "🇩🇪🇫🇷", "🏴\U000e0067\U000e0062\U000e007f", "한글", "\u1112\u1161\u11ab"),
        *("0", "-1", "1e3", "1_0", " 12 ", "\uff19", "²", "9" * 30, "9" * 5000, "NaN", "-inf"),
        *("null", "[" * 50, "<a>", "<@U1>", "<http://x|y>", "&amp;", "https://x.org/?a=b", "../x", "%00", SECRET),
    ]
)
words = texts | awkward
"""Text that a person, a provider or a program may have put where text belongs."""

numbers = st.one_of(
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30]),
    st.floats(),
    st.booleans(),
)
scalars = st.none() | numbers | words
json_values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4), max_leaves=12
)
"""Any JSON (Any: it may be any), with numbers and halves of characters that only JavaScript writes."""


def objects(fields: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with these fields: each may be missing, hold what it should (Any: JSON), or something else altogether."""
    usual = st.fixed_dictionaries({}, optional=dict(fields))
    odd = st.fixed_dictionaries({}, optional={name: one | json_values for name, one in fields.items()})
    return usual | odd


def written(value: object) -> bytes:
    """JSON as JavaScript and Python write it, with halves of characters as escapes."""
    return json.dumps(value).encode()


documents = st.one_of(
    json_values.map(written),
    json_values.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    st.binary(max_size=80),
    st.sampled_from([b"[" * DEEP, b'{"a":' * DEEP, b"", b"\xef\xbb\xbf{}", b'"\\ud83d', b"<html>"]),
)
"""Bodies that should be JSON."""


def cut(whole: bytes) -> st.SearchStrategy[list[bytes]]:
    """The same bytes as they may arrive: in pieces."""

    def pieces(places: list[int]) -> list[bytes]:
        ends = sorted({0, *(place for place in places if place < len(whole)), len(whole)})
        return [whole[start:end] for start, end in itertools.pairwise(ends)]

    return st.lists(st.integers(0, max(0, len(whole))), max_size=8).map(pieces)


@st.composite
def bent(draw: st.DrawFn, files: st.SearchStrategy[bytes]) -> bytes:
    """A file in which some bytes are wrong, missing or doubled."""
    data = bytearray(draw(files))
    for _ in range(draw(st.integers(0, 6))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        match draw(st.integers(0, 4)):
            case 0:
                data[at] = draw(st.integers(0, 255))
            case 1:
                data[at : at + draw(st.integers(1, 4))] = draw(st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\x7f\xff"]))
            case 2:
                del data[at : at + draw(st.integers(1, 64))]
            case 3:
                data[at:at] = data[at : at + draw(st.integers(1, 32))]
            case _:
                del data[at:]
    return bytes(data)


def packed(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP file; a member's name may be empty."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo()
            info.filename, info.compress_type = name, method
            with archive.open(info, "w") as member:
                member.write(data)
    return file.getvalue()


def base64url(data: bytes) -> str:
    """As in tokens: without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def caught(call: Callable[[], object], *errors: type[E]) -> E | None:
    """Call a parser that may raise only these; return what it raised."""
    try:
        call()
    except errors as error:
        return error
    return None


def outcome(call: Callable[[], object], *errors: type[BaseException]) -> str:
    """Call a parser that may raise only these; return the text of what it raised, "" for nothing."""
    error = caught(call, *errors)
    return "" if error is None else str(error) or type(error).__name__
