"""The error answers under ``/v1``: problem documents (RFC 9457, https://www.rfc-editor.org/rfc/rfc9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.responses import Response

from daemon.http.answers import NO_STORE

MEDIA_TYPE: Final = "application/problem+json"

TITLES: Final = {413: "Content Too Large", 422: "Unprocessable Content"}
"""RFC 9110's, where Pythons differ."""


class FieldError(msgspec.Struct, omit_defaults=True):
    """What is wrong with one field of the body (``pointer``, RFC 6901) or one part of the request (``parameter``)."""

    message: str
    pointer: str = ""
    parameter: str = ""


class Problem(msgspec.Struct, omit_defaults=True):
    """The document; ``instance`` names the line of the daemon's log that says more, where there is one."""

    type: str = msgspec.field(name="type")
    title: str = msgspec.field(name="title")
    status: int = msgspec.field(name="status")
    detail: str = msgspec.field(name="detail")
    instance: str = ""
    errors: list[FieldError] = []


def problem(
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[FieldError] = (),
    instance: str = "",
) -> Response:
    """Answer with a problem."""
    title = TITLES.get(status) or HTTPStatus(status).phrase
    body = msgspec.json.encode(Problem("about:blank", title, status, detail, instance, list(errors)))
    return Response(body, status, {**NO_STORE, **(headers or {})}, MEDIA_TYPE)
