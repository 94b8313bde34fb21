"""The parts that the OpenAPI document is put together from."""

from __future__ import annotations

from typing import Any, Final

import msgspec

# Any: a JSON document.
Json = dict[str, Any]

REF: Final = "#/components/schemas/{name}"


class Operation(msgspec.Struct):
    """What one route takes and answers; ``errors`` are statuses beside those that every route can give.

    Clients are generated with ``id`` and ``tag`` in their names: both stay as they are. ``problems``: its errors are
    problem documents, and it needs a token in any case. An ``answer`` None has no body. ``refusals`` are schemas of
    errors that have one of their own. ``partial``: a range of the answer can be asked for. ``openai``: its errors have
    the form of OpenAI's API, and it needs a token in any case.
    """

    id: str
    tag: str
    summary: str
    answer: Json | None
    errors: tuple[int, ...] = ()
    body: Json | None = None
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ("application/json",)
    body_type: str = "application/json"
    status: int = 200
    answer_headers: tuple[str, ...] = ()
    problems: bool = False
    body_required: bool = True
    refusals: dict[int, Json] = {}
    partial: bool = False
    openai: bool = False


def ref(name: str) -> Json:
    """A schema of the components."""
    return {"$ref": REF.format(name=name)}


def object_(**properties: Json) -> Json:
    """An object with all of these properties."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def list_(name: str) -> Json:
    """A list of a schema of the components."""
    return {"type": "array", "items": ref(name)}


SECURITY_SCHEME: Final[Json] = {
    "type": "http",
    "scheme": "bearer",
    "description": (
        "`personad token` makes a token. One made with --read-only may GET and listen at sockets; it gets 403 for"
        " everything else, and for an export with secrets."
    ),
}
TEXT: Final[Json] = {"type": "string"}
INTEGER: Final[Json] = {"type": "integer"}
