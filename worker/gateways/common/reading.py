"""Reads the JSON of providers so that a surprise in one field costs only that field, and never a message.

Providers add, empty and retype fields without notice. So null counts as absent, a number where text belongs is its
digits, and a field that is only a decoration and does not fit is left out. What carries a message's words is marked
``Words``: if that does not fit, the whole is unreadable, which the caller must not take for handled.
"""

from __future__ import annotations

from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, NamedTuple, TypeAlias, TypeVar, Union, cast, get_args, get_origin

import msgspec

from proto.unicode_text import valid_json, valid_text
from worker.gateways.common.trouble import UnreadableError

T = TypeVar("T")

_MARK: Final = msgspec.Meta(extra={"words": True})

Words: TypeAlias = Annotated[T, _MARK]
"""A field of a Struct that carries what a person sent: it may be absent, but not misunderstood."""

LATEST: Final = 4_102_444_800
"""Epoch seconds: the year 2100. Much later times do not fit into the ledger's nanoseconds."""


class _Field(NamedTuple):
    name: str
    encoded: str
    kind: Any
    needed: bool
    words: bool


def parsed(body: bytes | str) -> Any:
    """Return the JSON in a body (Any: it may be any). Raises UnreadableError.

    Bytes and escapes that are half a character do not spoil the rest.
    """
    try:
        return msgspec.json.decode(valid_json(body))
    except RecursionError:
        raise UnreadableError("it is nested too deeply") from None
    except msgspec.DecodeError as error:
        raise UnreadableError(f"it is no JSON: {error}") from None


def fitted(value: object, kind: type[T]) -> T:
    """Convert parsed JSON to this type. Raises UnreadableError, whose text names a field and none of its content."""
    return cast("T", _fit(value, kind, "it", strict=True))


def text(value: object, where: str = "it") -> str:
    """Return text, or a number as text. Raises UnreadableError for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _misfit(where, "text", value)
    return valid_text(str(value))


def nanoseconds(seconds: str) -> int:
    """Return a time stated in whole epoch seconds; 0 if it is none, or too late to be true."""
    if not (seconds.isascii() and seconds.isdecimal() and len(seconds) <= len(str(LATEST))):
        return 0
    return int(seconds) * 1_000_000_000 if int(seconds) < LATEST else 0


def _fit(value: object, kind: Any, where: str, *, strict: bool) -> object:
    # Any: a type as an annotation spells it. ``strict`` means that nothing may be left out but fields.
    kind = _bare(kind)
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        inner = [one for one in get_args(kind) if one is not NoneType]
        if value is None and len(inner) < len(get_args(kind)):
            return None
        if len(inner) == 1:
            return _fit(value, inner[0], where, strict=strict)
    if origin is list:
        return _items(value, get_args(kind)[0], where, strict=strict)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct(value, kind, where, strict=strict)
    if kind is str:
        return text(value, where)
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        raise _misfit(where, getattr(kind, "__name__", str(kind)), value) from None


def _items(value: object, kind: Any, where: str, *, strict: bool) -> list[object]:
    if not isinstance(value, list):
        raise _misfit(where, "list", value)
    found = []
    for number, item in enumerate(value):
        if item is None:
            continue
        try:
            found.append(_fit(item, kind, f"{where}[{number}]", strict=strict))
        except UnreadableError:
            if strict:
                raise
    return found


def _struct(value: object, kind: type[msgspec.Struct], where: str, *, strict: bool) -> msgspec.Struct:
    if not isinstance(value, dict):
        raise _misfit(where, "object", value)
    found: dict[str, object] = {}
    for field in _fields(kind):
        given = value.get(field.encoded)
        place = f"{where}.{field.encoded}"
        if given is None:
            if field.needed:
                raise UnreadableError(f"{place} is missing")
            continue
        must_fit = field.needed or field.words
        try:
            found[field.name] = _fit(given, field.kind, place, strict=strict and must_fit)
        except UnreadableError:
            if must_fit:
                raise
    return kind(**found)


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[_Field, ...]:
    return tuple(
        _Field(one.name, one.encode_name, one.type, one.required, _is_words(one.type))
        for one in msgspec.structs.fields(kind)
    )


def _is_words(kind: Any) -> bool:
    return get_origin(kind) is Annotated and _MARK in get_args(kind)[1:]


def _bare(kind: Any) -> Any:
    """Return an annotation's type without what it is annotated with."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _misfit(where: str, expected: str, value: object) -> UnreadableError:
    return UnreadableError(f"{where} is no {expected} but {type(value).__name__}")
