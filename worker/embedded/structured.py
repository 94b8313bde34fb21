"""CSV and JSON as pieces of text in which every value stands beside its name, so that a passage can be quoted alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from worker.embedded.documents import MOST_LINE, Findings, counted, encoding, text_pieces
from worker.embedded.passages import Piece

DELIMITERS: Final = ",;\t|"
SAMPLE_LINES: Final = 30
MOST_COLUMNS: Final = 200
"""Columns that are called by their names; further values stand without."""

MOST_NAME: Final = 60
SHOWN_COLUMNS: Final = 20

MOST_JSON: Final = 8_000_000
"""Bytes; a larger file, which would take ten times as much memory, is read as text."""

MOST_PATH: Final = 100
FLAT: Final = 200
"""Characters up to which a list or an object of plain values stands on one line."""


def csv_pieces(path: Path, findings: Findings) -> Iterator[Piece]:
    """Read a table in rows, counted as a spreadsheet counts them: the header is row 1. Raise HostFault, OSError."""
    with path.open(encoding=encoding(path), errors="replace", newline="") as file:
        source = iter(lambda: file.readline(MOST_LINE), "")
        sample = list(islice(source, SAMPLE_LINES))
        rows = csv.reader(chain(sample, source), delimiter=_delimiter(sample))
        number = 0
        names: list[str] = []
        try:
            for number, row in enumerate(rows, 1):
                if number == 1 and _is_header(row):
                    names = [name.strip()[:MOST_NAME] for name in row[:MOST_COLUMNS]]
                    yield Piece("row", 1, f"Columns: {', '.join(names)}")
                else:
                    yield Piece("row", number, _row(names, row))
        except csv.Error:
            # A quote that never ends, for example.
            findings.notes.append(f"From row {number + 1} on it is no table that can be read.")
    columns = f" with the columns {', '.join(names[:SHOWN_COLUMNS])}" if names else ""
    findings.extent = f"a table of {counted(number, 'row')}{columns}"


def _delimiter(sample: list[str]) -> str:
    """Choose what cuts most of these lines into the same number of columns, more than one."""

    def agreement(delimiter: str) -> tuple[int, int]:
        try:
            widths = [len(row) for row in csv.reader(sample, delimiter=delimiter) if row]
        except csv.Error:
            return (0, 0)
        usual = max(set(widths), key=widths.count, default=1)
        return (widths.count(usual), usual) if usual > 1 else (0, 0)

    return max(DELIMITERS, key=agreement)


def _is_header(row: list[str]) -> bool:
    names = [name.strip() for name in row]
    return all(names) and len(set(names)) == len(names) and not any(_is_number(name) for name in names)


def _is_number(text: str) -> bool:
    return text.lstrip("+-").replace(".", "").replace(",", "").isdigit()


def _row(names: list[str], row: list[str]) -> str:
    values = [value.strip() for value in row]
    named = [f"{name}: {value}" for name, value in zip(names, values, strict=False) if value]
    return "; ".join(named + [value for value in values[len(names) :] if value])


def json_pieces(path: Path, findings: Findings) -> Iterator[Piece]:
    """Read JSON: entries of a list, sections of an object. What is broken, or large, is read as text.

    Raise HostFault, OSError.
    """
    if path.stat().st_size > MOST_JSON:
        return text_pieces(path, findings)
    try:
        # Any: whatever stands in the file.
        value: Any = json.loads(path.read_text(encoding(path)))
    except (ValueError, RecursionError):
        findings.notes.append("It is not valid JSON, so it was read as text.")
        return text_pieces(path, findings)
    return _json_pieces(value, findings)


def _json_pieces(value: Any, findings: Findings) -> Iterator[Piece]:
    # Any: whatever stood in the file.
    if isinstance(value, list):
        findings.extent = f"a JSON list of {counted(len(value), 'item')}"
        for number, entry in enumerate(value, 1):
            yield Piece("entry", number, "\n".join(_leaves(entry)))
    elif isinstance(value, dict):
        findings.extent = f"a JSON object of {counted(len(value), 'key')}"
        for key, entry in value.items():
            for line in _leaves(entry):
                yield Piece("section", key[:MOST_NAME], f"{key}{line}" if line[:1] == "[" else f"{key}: {line}")
    else:
        findings.extent = "a JSON value"
        yield Piece("line", 1, _plain(value))


def _leaves(value: Any) -> Iterator[str]:
    """Write each plain value on a line with its path, and what has only a few of them on one line."""
    # Any: a value out of the file. A stack of our own, because no depth is too deep for a file.
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        path, one = waiting.pop()
        if not isinstance(one, list | dict):
            yield _at(path, _plain(one))
        elif flat := _flat(one):
            yield _at(path, flat)
        else:
            waiting += reversed([(_joined(path, key), entry) for key, entry in _entries(one)])


def _flat(value: list[Any] | dict[str, Any]) -> str:
    """Write a list or an object on one line, "" when it is long or holds others."""
    entries = list(islice(_entries(value), MOST_COLUMNS))
    if any(isinstance(entry, list | dict) for _, entry in entries) or len(entries) == MOST_COLUMNS:
        return ""
    if isinstance(value, dict):
        text = "; ".join(f"{key}: {_plain(entry)}" for key, entry in entries)
    else:
        text = ", ".join(_plain(entry) for _, entry in entries)
    return text if len(text) <= FLAT else ""


def _entries(value: list[Any] | dict[str, Any]) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        return value.items()
    return ((f"[{number}]", entry) for number, entry in enumerate(value, 1))


def _joined(path: str, key: str) -> str:
    return f"{path}{key}"[-MOST_PATH:] if key.startswith("[") or not path else f"{path}.{key}"[-MOST_PATH:]


def _at(path: str, text: str) -> str:
    return f"{path}: {text}" if path else text


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
