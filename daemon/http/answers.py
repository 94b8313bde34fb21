"""The JSON answers of the persona API; an error is ``{"detail": ...}``: a text that says what to do, or a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.responses import Response

from proto.records import to_json

NO_STORE: Final = {"cache-control": "no-store"}
"""Answers carry what people said, and some of them credentials: nothing of it stays in a cache."""


class Fault(msgspec.Struct, frozen=True):
    """One faulty field, named as Pydantic names it; it never quotes the input, which may hold a key."""

    type: str
    loc: tuple[str | int, ...]
    msg: str


def sentence(text: object) -> str:
    """Return a text that ends in a reason from elsewhere with its full stop, which only some reasons have."""
    words = str(text).rstrip()
    return words if words.endswith((".", "!", "?", "…")) else f"{words}."


def json_response(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON. Secrets inside records are in the clear: only for what a seed leaves unmasked."""
    return Response(to_json(content), status, {**NO_STORE, **(headers or {})}, "application/json")


def problem(status: int, detail: str | list[Fault], headers: Mapping[str, str] | None = None) -> Response:
    """Answer with an error."""
    return json_response({"detail": detail}, status, headers)
