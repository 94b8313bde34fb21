"""Providers' JSON: a surprise in one field costs that field only, and lost words are never taken for none."""

from __future__ import annotations

import json

import msgspec
import pytest

from worker.gateways.common.reading import Words, fitted, nanoseconds, parsed
from worker.gateways.common.trouble import UnreadableError


class Person(msgspec.Struct):
    name: str = ""


class Note(msgspec.Struct):
    id: str
    body: Words[str | None] = None
    size: int = 0
    title: Words[str] = "untitled"
    people: list[Person] = []
    from_: str = msgspec.field(name="from", default="nobody")


def note(**fields: object) -> Note:
    return fitted(parsed(json.dumps({"id": "1", **fields}).encode()), Note)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"from": None, "size": None, "people": None}, {}),
        ({"body": None, "title": None}, {}),
        (
            {"people": [None, {"name": None}, {"name": "Ann"}, {"name": []}, 7]},
            {"people": [*map(Person, ["", "Ann", ""])]},
        ),
        ({"size": "10", "from": 15557654321}, {"size": 10, "from_": "15557654321"}),
        ({"size": {}, "from": ["x"]}, {}),
        ({"body": 7, "more": {"of": "it"}}, {"body": "7"}),
        ({"body": "half \ud83d, whole \ud83d\ude00, none \0"}, {"body": "half \ufffd, whole 😀, none \ufffd"}),
    ],
)
def test_a_surprise_costs_its_field_only(fields: dict[str, object], expected: dict[str, object]) -> None:
    """Null is absent, a number is also text, and what does not fit is left out."""
    assert msgspec.structs.asdict(note(**fields)) == msgspec.structs.asdict(Note("1", **expected))  # type: ignore[arg-type]  # fields of Note


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"id": "1", "body": ["a", "secret"]}', "it.body is no text but list"),
        (b'{"id": "1", "body": true}', "it.body is no text but bool"),
        (b'{"id": null, "body": "x"}', "it.id is missing"),
        (b'["x"]', "it is no object but list"),
        (b"<html>", "it is no JSON"),
        (b"[" * 100_000, "it is nested too deeply"),
    ],
)
def test_what_cannot_be_read_says_where(body: bytes, reason: str) -> None:
    """The reason names the field, and nothing of its content."""
    with pytest.raises(UnreadableError, match=reason) as raised:
        fitted(parsed(body), Note)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [("1700000000", 1_700_000_000 * 10**9), ("", 0), ("²", 0), ("-1", 0), ("1e9", 0), ("9" * 10, 0), ("9" * 5000, 0)],
)
def test_a_time_that_cannot_be_true_is_none(seconds: str, expected: int) -> None:
    """It would not fit into the ledger, and must not end the process."""
    assert nanoseconds(seconds) == expected


def test_bytes_that_are_no_text_do_not_spoil_the_rest() -> None:
    """A body that is not quite UTF-8 is read."""
    assert fitted(parsed(b'{"id": "1", "body": "\xff!"}'), Note).body == "\ufffd!"
