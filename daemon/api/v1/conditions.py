"""``ETag`` and ``If-Match``: a change is refused if somebody else changed the channel meanwhile.

https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
from starlette.requests import Request

from daemon.api.conditions import HEADER, given_tags
from daemon.api.v1.objects import ChannelObject
from daemon.api.v1.problems import Refused, refused_parameter

_CHANGED: Final = (
    "The channel was changed since you read it: GET it again, and send your change with its new ETag as If-Match."
)


def etag(shown: ChannelObject) -> str:
    """The channel's ETag. It changes with what an operator sets, and neither with counters nor with errors.

    Otherwise each message of a visitor would make an operator's change fail. No answer stays in a cache (``NO_STORE``),
    for which that difference would matter.
    """
    texts = (shown.name, shown.model_id, shown.dataset_ids, shown.welcome_message, shown.fallback_message)
    settings = (shown.id, shown.updated_at, *texts, shown.instructions)
    return f'"{hashlib.sha256(msgspec.json.encode(settings)).hexdigest()[:16]}"'


def check_match(request: Request, shown: ChannelObject) -> None:
    """Raise Refused if the request is for another state of the channel: 412, or 422 for a faulty header."""
    try:
        tags = given_tags(request)
    except ValueError as error:
        raise refused_parameter(HEADER, str(error)) from error
    if tags not in (None, ["*"]) and etag(shown) not in tags:
        raise Refused(412, _CHANGED)
