"""What a process may send has a bound, field by field: a frame is limited as a whole, what is made of it is not.

The zygote runs nobody's code but ours, and its messages are datagrams of a few kilobytes.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec import inspect

from proto.feeds import FromFeeder
from proto.host import FromHost
from proto.messages import FromWorker


def unbounded(kind: inspect.Type, place: str, seen: frozenset[type] = frozenset()) -> Iterator[str]:
    """The places of all texts, bytes, lists and tables inside that may have any length."""
    match kind:
        case inspect.StructType(cls=cls, fields=fields):
            if cls not in seen:
                for field in fields:
                    yield from unbounded(field.type, f"{cls.__name__}.{field.name}", seen | {cls})
        case inspect.UnionType(types=types):
            for one in types:
                yield from unbounded(one, place, seen)
        case inspect.ListType(item_type=item, max_length=length):
            if length is None:
                yield place
            yield from unbounded(item, f"{place}[]", seen)
        case inspect.DictType(key_type=key, value_type=value, max_length=length):
            if length is None:
                yield place
            yield from unbounded(key, f"{place} key", seen)
            yield from unbounded(value, f"{place} value", seen)
        case inspect.TupleType(item_types=items):
            for item in items:
                yield from unbounded(item, f"{place}[]", seen)
        case inspect.StrType(max_length=length, pattern=pattern):
            if length is None and pattern is None:
                yield place
        case inspect.BytesType(max_length=length):
            if length is None:
                yield place
        case inspect.IntType() | inspect.FloatType() | inspect.BoolType() | inspect.NoneType() | inspect.LiteralType():
            pass
        case _:
            yield f"{place}: {kind}"


@pytest.mark.parametrize("sent", [FromWorker, FromFeeder, FromHost], ids=["worker", "feeder", "host"])
def test_everything_that_comes_from_a_process_is_bounded(sent: object) -> None:
    """No field of any length, whatever it is nested in."""
    assert list(unbounded(inspect.type_info(sent), "message")) == []
