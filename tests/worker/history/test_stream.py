"""The stream of JSON values is exact, whatever the document and wherever its windows end."""

from __future__ import annotations

import io
import json
import random
from typing import Any

import pytest

from worker.history.imported import HistoryError
from worker.history.stream import JsonStream

TEXTS = [
    "",
    "plain",
    'a "quoted" {brace} [bracket]',
    "\\",
    '\\"',
    "back\\slash\\\\",
    "schön",
    "漢字",
    "🙂🌿",
    "\n\t\x01",
    "]}",
    "//",
]
NUMBERS = [0, -1, 12, 1.5, -2.5e-7, 1e30, 123456789012345]

# Any in this module: random JSON.


def value(rng: random.Random, depth: int = 0) -> Any:
    """A JSON value with everything that makes its end hard to find."""
    kind = rng.randrange(7 if depth < 4 else 4)
    match kind:
        case 0:
            return "".join(rng.choices(TEXTS, k=rng.randrange(4)))
        case 1:
            return rng.choice(NUMBERS)
        case 2:
            return rng.choice([True, False, None])
        case 3 | 4:
            return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
        case _:
            return {rng.choice(TEXTS) + str(n): value(rng, depth + 1) for n in range(rng.randrange(4))}


def written(rng: random.Random, content: Any) -> bytes:
    """Return one of many spellings of the value, perhaps with a byte order mark and surrounding white space."""
    separators = rng.choice([(",", ":"), (", ", ": "), (" ,\n ", "\t: ")])
    text = json.dumps(
        content, ensure_ascii=rng.random() < 0.5, separators=separators, indent=rng.choice([None, None, 1])
    )
    return rng.choice(["", "\ufeff"]).encode() + (rng.choice(["", "\r\n "]) + text + rng.choice(["", " \n"])).encode()


def stream(document: bytes, window: int = 1 << 20, largest: int = 1 << 25) -> JsonStream:
    return JsonStream(io.BytesIO(document), window, largest)


def values(document: bytes, window: int = 1 << 20, key: str = "") -> list[Any]:
    return [json.loads(raw) for raw in stream(document, window).values(key)]


@pytest.mark.parametrize("seed", range(8))
def test_windows_of_any_size(seed: int) -> None:
    """A list, a list under a key and a lone object come out as json.loads reads them, split at every kind of place."""
    rng = random.Random(seed)
    for _ in range(60):
        items = [value(rng) for _ in range(rng.randrange(6))]
        before = {f"k{n}": value(rng) for n in range(rng.randrange(3))}
        after = {f"z{n}": value(rng) for n in range(rng.randrange(3))}
        window = rng.choice([1, 2, 3, 5, 7, 16, 64, 1000])
        assert values(written(rng, items), window) == items
        assert values(written(rng, {**before, "talks": items, **after}), window, "talks") == items
        assert values(written(rng, {**before, "talks": items}), window) == [{**before, "talks": items}]


@pytest.mark.parametrize("seed", range(4))
def test_a_document_cut_short(seed: int) -> None:
    """Every prefix of a document gives its complete values and then a readable error."""
    rng = random.Random(seed)
    items = [value(rng) or "x" for _ in range(4)]
    document = json.dumps(items).encode()
    for end in range(len(document)):
        found: list[Any] = []
        with pytest.raises(HistoryError, match=r"ends in the middle|is empty|not JSON|not UTF-8"):
            found.extend(json.loads(raw) for raw in stream(document[:end], window=8).values())
        assert found == items[: len(found)] or document[end - 1 : end].isdigit()


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"PNG", "not JSON with a list"),
        (b'"text"', "not JSON with a list"),
        (b"12", "not JSON with a list"),
        (b"[1 2]", "comma or ] is missing"),
        (b"[1,]", "not JSON"),
        (b"[,1]", "not JSON"),
        (b"[1]]", "behind its end, at byte 3"),
        (b"[1] [2]", "behind its end"),
        (b'{"a" 1}', "colon is missing"),
        (b'{"a": 1,}', "name in quotes is missing"),
        (b"{a: 1}", "name in quotes is missing"),
        (b'[{"a": 01}]', "not JSON"),
        (b"['a']", "not JSON"),
        (b"[nul]", "not JSON"),
        (b'["\\x"]', "not JSON"),
        (b'["a\nb"]', "not JSON"),
        (b'["\xff"]', "not UTF-8 text, near byte 2"),
        (b'[1, "\xc3"]', "not UTF-8"),
        (b"[\xed\xa0\x80]", "not UTF-8"),
        ('["utf-16"]'.encode("utf-16"), "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" + b'{"a":' * 100_000, "nested too deeply"),
        (b"[1]\x00", "behind its end"),
    ],
)
@pytest.mark.parametrize("window", [1, 4096])
def test_what_is_not_json(document: bytes, says: str, window: int) -> None:
    """Each kind of invalid JSON is reported with its position."""
    with pytest.raises(HistoryError, match=says):
        values(document, window)


@pytest.mark.parametrize("window", [1, 100, 100_000])
@pytest.mark.parametrize("large", ["x" * 5000, [["y", '\\"]', {"}": "{"}]] * 500, {"k": ["[" * 5000]}, 'q"\\' * 2000])
def test_a_value_that_is_too_large_is_passed_over(window: int, large: Any) -> None:
    """The neighbours of an oversized value are complete, it is counted, and memory stays bounded."""
    document = json.dumps(["a", large, {"b": 1}, {"c": large}]).encode()
    reading = stream(document, window, largest=1000)
    assert [json.loads(raw) for raw in reading.values()] == ["a", {"b": 1}]
    assert reading.oversized == 2
    keyed = stream(json.dumps({"other": large, "talks": [1]}).encode(), window, largest=1000)
    assert [json.loads(raw) for raw in keyed.values("talks")] == [1]
    alone = stream(json.dumps({"mapping": large}).encode(), window, largest=1000)
    assert (list(alone.values()), alone.oversized) == ([], 1)


def test_too_large_and_cut_short() -> None:
    """A skipped value has to end, too."""
    with pytest.raises(HistoryError, match="ends in the middle"):
        list(stream(b'["' + b"x" * 5000, 100, 1000).values())
    with pytest.raises(HistoryError, match="number is too long"):
        list(stream(b"[" + b"1" * 5000 + b"]", 100, 1000).values())


@pytest.mark.parametrize("window", [1, 3, 10, 1000])
def test_halves_of_surrogate_pairs(window: int) -> None:
    """RFC 8259 allows them, and JavaScript writes them; whole pairs and escaped backslashes stay as they are."""
    halves = [r"\ud83d", r"\udE00", r"\uD83D x", r"\ude00\ud83d", r"\ud83d\ud83d\ude00", r"\\\ud83d"]
    whole = [r"\ud83d\ude00", r"\\ud83d", r"é"]
    document = "[" + ",".join(f'"{text}"' for text in (*halves, *whole)) + "]"
    mended = ["\ufffd", "\ufffd", "\ufffd x", "\ufffd\ufffd", "\ufffd😀", "\\\ufffd"]
    assert values(document.encode(), window) == [*mended, "😀", "\\ud83d", "é"]


@pytest.mark.parametrize("window", [1, 5, 1000])
def test_lines(window: int) -> None:
    """One value per line, with or without a final line break; a line that is too long is refused."""
    assert list(stream(b'\xef\xbb\xbf{"a":1}\n\r\n{"b":"\xc3\xa9"}\r\n[1]', window).lines()) == [
        b'{"a":1}',
        b'{"b":"\xc3\xa9"}\r',
        b"[1]",
    ]
    with pytest.raises(HistoryError, match="longer than 10 bytes"):
        list(stream(b"1\n" + b"2" * 5000, window, 10).lines())


def test_position() -> None:
    """Progress is reported in bytes."""
    document = b'[{"a": 1}, {"b": 2}]'
    reading = stream(document, window=4)
    assert [reading.position for _ in reading.values()] == [9, 19]
    assert reading.position == len(document)
