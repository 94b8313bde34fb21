"""``ETag`` and ``If-Match``: a change is refused if somebody else changed the thing meanwhile.

https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1
"""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request

from daemon.api.errors import Unprocessable
from daemon.http.answers import Fault

HEADER: Final = "If-Match"
FAULTY: Final = f'{HEADER} must be the ETag of an answer with its quotation marks, such as "0123456789abcdef", or *.'

_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS: Final = re.compile(rf"{_TAG}(?:[ \t]*,[ \t]*{_TAG})*")


def given_tags(request: Request) -> list[str] | None:
    """Return the tags of a request's If-Match, ``["*"]`` for any, None without the header. Raises ValueError."""
    if HEADER.lower() not in request.headers:
        return None
    given = ", ".join(request.headers.getlist(HEADER)).strip()
    if given == "*":
        return ["*"]
    if not _TAGS.fullmatch(given):
        raise ValueError(FAULTY)
    return re.findall(_TAG, given)


class Condition:
    """What a request says about the state that it is meant for."""

    def __init__(self, request: Request) -> None:
        """Raise Unprocessable for a faulty header."""
        try:
            self._tags = given_tags(request)
        except ValueError as error:
            raise Unprocessable([Fault("value_error", ("header", HEADER), str(error))]) from error

    def holds(self, etag: str | None) -> bool:
        """Whether the request is meant for what has this ETag; None when there is nothing."""
        return self._tags is None or (etag is not None and (self._tags == ["*"] or etag in self._tags))
