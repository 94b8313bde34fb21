"""Paging: ``limit`` and ``cursor`` in the query; ``items``, ``nextCursor`` and ``hasMore`` in the response."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Final, Generic, TypeVar

import msgspec
from starlette.requests import Request

from daemon.api.v1.problems import refused_parameter

T = TypeVar("T")
S = TypeVar("S")
C = TypeVar("C")

DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100
MAX_CURSOR: Final = 512

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A number in a cursor. SQLite has no larger integers (https://www.sqlite.org/datatype3.html)."""
Place = Annotated[str, msgspec.Meta(max_length=128, pattern=r"^[!-~]*\Z")]
"""An id in a cursor."""


class Page(msgspec.Struct, Generic[T], rename="camel"):
    """One page of a list; ``next_cursor`` starts the next page and is null on the last."""

    items: list[T]
    next_cursor: str | None
    has_more: bool


def limit_of(request: Request) -> int:
    """The number of items that the client wants. Raises Refused."""
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    # isdecimal alone also accepts the digits of other scripts.
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and 1 <= int(text) <= MAX_LIMIT):
        raise refused_parameter("limit", f"limit must be a whole number from 1 to {MAX_LIMIT}.")
    return int(text)


def cursor_of(request: Request, kind: type[C]) -> C | None:
    """The position where the page starts, None for the first page. Raises Refused for an invalid cursor."""

    text = request.query_params.get("cursor", "")[:MAX_CURSOR]
    if not text:
        return None
    try:
        return msgspec.json.decode(base64.b64decode(text.encode("ascii"), b"-_", validate=True), type=kind)
    except (ValueError, binascii.Error) as error:
        raise refused_parameter("cursor", "cursor must be the nextCursor of this list's previous page.") from error


def page(found: Sequence[S], limit: int, show: Callable[[S], T], place: Callable[[S], object]) -> Page[T]:
    """Make a page from up to ``limit + 1`` rows; ``place`` gives the cursor's content for the last row of the page."""
    items, more = found[:limit], len(found) > limit
    cursor = base64.urlsafe_b64encode(msgspec.json.encode(place(items[-1]))).decode() if more else None
    return Page([show(one) for one in items], cursor, more)
