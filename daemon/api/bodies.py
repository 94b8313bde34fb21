"""JSON bodies: decoded into a Struct at once; only a body that fails is looked at field by field.

What is accepted and refused, and the words for it, are FastAPI's, because the documented system is a FastAPI
application: a body is JSON when its Content-Type says so or is absent, and every faulty field is listed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final, Generic, TypeVar

import msgspec
from starlette.requests import Request

from daemon.api.errors import Unprocessable
from daemon.http.answers import Fault

T = TypeVar("T", bound=msgspec.Struct)

_JSON_TYPE: Final = re.compile(rb"\s*application/(?:json|[\w.+-]+\+json)\s*(?:;|\Z)", re.IGNORECASE)

_NOT_AN_OBJECT: Final = Fault(
    "model_attributes_type", ("body",), "Input should be a valid dictionary or object to extract fields from"
)
_BAD_TEXT: Final = "Input should be a valid string, unable to parse raw data as a unicode string"

# What msgspec says of a value, and Pydantic's type and words for it; the first that matches counts.
_TRANSLATIONS: Final = (
    (r"Object missing required field", "missing", "Field required"),
    (r"Expected `str` of length >= (\d+)", "string_too_short", "String should have at least {} character(s)"),
    (r"Expected `str` of length <= (\d+)", "string_too_long", "String should have at most {} character(s)"),
    (r"Expected `str` matching", "string_pattern_mismatch", "String should have no control characters or line breaks"),
    (r"Expected `str", "string_type", "Input should be a valid string"),
    (r"Expected `object", "dict_type", "Input should be a valid dictionary"),
    (r"Expected `array", "list_type", "Input should be a valid list"),
    (r"Expected `bool", "bool_type", "Input should be true or false"),
    # The only whole numbers in bodies are the ids of rows.
    (r"Expected `int", "int_type", f"Input should be a whole number from 1 to {2**63 - 1}"),
)


class Body(Generic[T]):
    """Bodies of one kind."""

    def __init__(self, kind: type[T]) -> None:
        self.kind = kind
        self._decoder = msgspec.json.Decoder(kind)

    async def read(self, request: Request) -> T:
        """Read and decode a request's body. Raises Unprocessable."""
        return self.decode(await request.body(), request.scope["headers"])

    def decode(self, raw: bytes, headers: Iterable[tuple[bytes, bytes]]) -> T:
        """Raise Unprocessable, which lists every faulty field."""
        try:
            if is_json(headers):
                return self._decoder.decode(raw)
        except (ValueError, RecursionError):
            # The slower way below finds out what is wrong, and accepts what only msgspec refuses, such as a BOM.
            pass
        fields = parse_object(raw, headers)
        if faults := list(self._faults(fields)):
            raise Unprocessable(faults)
        return msgspec.convert(fields, self.kind)

    def _faults(self, fields: dict[str, object]) -> Iterable[Fault]:
        for field in msgspec.structs.fields(self.kind):
            loc = ("body", field.encode_name)
            if field.encode_name not in fields:
                if field.required:
                    yield Fault("missing", loc, "Field required")
                continue
            value = fields[field.encode_name]
            if not _is_unicode(value):
                yield Fault("string_unicode", loc, _BAD_TEXT)
                continue
            try:
                msgspec.convert(value, field.type)
            except msgspec.ValidationError as error:
                yield fault(loc, error)


async def read_object(request: Request) -> dict[str, object]:
    """Read a body that is an object of free keys. Raises Unprocessable."""
    fields = parse_object(await request.body(), request.scope["headers"])
    if faults := [Fault("string_unicode", ("body", key), _BAD_TEXT) for key in fields if not _is_unicode(fields[key])]:
        raise Unprocessable(faults)
    return fields


def is_json(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a body with these headers is taken as JSON."""
    return all(_JSON_TYPE.match(value) for name, value in headers if name == b"content-type")


def parse_object(raw: bytes, headers: Iterable[tuple[bytes, bytes]]) -> dict[str, object]:
    """Raise Unprocessable for a body that is no JSON object."""
    if not raw:
        raise Unprocessable([Fault("missing", ("body",), "Field required")])
    if not is_json(headers):
        raise Unprocessable([_NOT_AN_OBJECT])
    try:
        value = json.loads(raw)
    except json.JSONDecodeError as error:
        raise Unprocessable([Fault("json_invalid", ("body", error.pos), "JSON decode error")]) from error
    except (ValueError, RecursionError) as error:
        # Not UTF-8, or a number with thousands of digits, or thousands of brackets.
        raise Unprocessable([Fault("json_invalid", ("body", 0), "JSON decode error")]) from error
    if not isinstance(value, dict):
        raise Unprocessable([_NOT_AN_OBJECT])
    return value


def _is_unicode(value: object) -> bool:
    r"""Whether no text in ``value`` holds half a character, which JSON can write as ``\ud800``."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def fault(loc: tuple[str, ...], error: msgspec.ValidationError) -> Fault:
    """Return what is wrong with the field at ``loc``, in words that name no type of Python."""
    words, _, path = str(error).partition(" - at `$")
    inner = tuple(re.findall(r"\w+", path))
    for pattern, kind, text in _TRANSLATIONS:
        if found := re.match(pattern, words):
            return Fault(kind, loc + inner, text.format(*found.groups()))
    return Fault("value_error", loc + inner, words)
