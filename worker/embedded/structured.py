"""CSV and JSON as pieces of text. Each value comes with its name, so that a passage can be quoted alone."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from worker.embedded.documents import MOST_LINE, Findings, counted, text_pieces
from worker.embedded.encodings import encoding
from worker.embedded.passages import Piece, clean

DELIMITERS: Final = ",;\t|"
_SEPARATOR: Final = re.compile(r'sep=(?P<delimiter>[^\r\n"])\s*\Z', re.IGNORECASE)
SAMPLE_LINES: Final = 30
MOST_COLUMNS: Final = 200
"""Columns whose values come with a name; further values have none."""

MOST_NAME: Final = 60
SHOWN_COLUMNS: Final = 20

MOST_JSON: Final = 8_000_000
"""Bytes. A larger file is read as text, because parsing it would take ten times as much memory."""

MOST_PATH: Final = 100
FLAT: Final = 200
"""The maximum number of characters of a list or object of plain values that is written on one line."""


def csv_pieces(path: Path, findings: Findings) -> Iterator[Piece]:
    """Read a table row by row, numbered as in a spreadsheet: the first line of the file is row 1.

    A bank's lines about the account may stand above the header, and Excel's line ``sep=;`` above everything
    (https://support.microsoft.com/office/import-or-export-text-txt-or-csv-files-5250ac4c-663c-47ce-937b-339e391393ba).
    Raises HostFault when the file is not text, and OSError when it cannot be read.
    """
    written = encoding(path)
    findings.notes += [written.note] if written.note else []
    with path.open(encoding=written.name, errors="replace", newline="") as file:
        source = iter(lambda: file.readline(MOST_LINE), "")
        sample = list(islice(source, SAMPLE_LINES))
        named = _SEPARATOR.match(sample[0]) if sample else None
        delimiter = named["delimiter"] if named else _delimiter(sample)
        header = _header(sample, delimiter, skipped=bool(named))
        rows = csv.reader(chain(sample, source), delimiter=delimiter)
        number = 0
        names: list[str] = []
        try:
            for number, row in enumerate(rows, 1):
                if number == 1 and named:
                    continue
                if number == header:
                    names = [clean(name).strip()[:MOST_NAME] for name in row[:MOST_COLUMNS]]
                    yield Piece("row", number, f"Columns: {', '.join(filter(None, names))}")
                else:
                    yield Piece("row", number, _row(names, row))
        except csv.Error:
            # For example, a quote that is never closed.
            findings.notes.append(f"From row {number + 1} on the table cannot be read.")
    columns = f" with the columns {', '.join(filter(None, names[:SHOWN_COLUMNS]))}" if any(names) else ""
    # The header and what stands above it are numbered, but they are no rows of the table.
    findings.extent = f"a table of {counted(max(0, number - (header or int(bool(named)))), 'row')}{columns}"


def _delimiter(sample: list[str]) -> str:
    """Return the delimiter that splits the most lines into the same number of columns, which is more than one."""

    def agreement(delimiter: str) -> tuple[int, int]:
        widths = [len(row) for row in _rows(sample, delimiter)]
        usual = _usual(widths)
        return (widths.count(usual), usual) if usual > 1 else (0, 0)

    return max(DELIMITERS, key=agreement)


def _header(sample: list[str], delimiter: str, *, skipped: bool) -> int:
    """Return the number of the row that names the columns, 0 if there is none.

    It is the first row in which every column has a value: what stands above it is about the table, not part of it.
    """
    rows = _rows(sample, delimiter)
    usual = _usual([len(row) for row in rows if row])
    columns = max((_filled(row) for row in rows if len(row) == usual), default=1)
    for number, row in enumerate(rows, 1):
        if _filled(row) >= columns and not (number == 1 and skipped):
            return number if _is_header(row) else 0
    return 0


def _rows(sample: list[str], delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    with suppress(csv.Error):
        rows.extend(csv.reader(sample, delimiter=delimiter))
    return rows


def _usual(widths: list[int]) -> int:
    """Return the width that most rows have, the larger one of two."""
    return max(widths, key=lambda width: (widths.count(width), width), default=1)


def _filled(row: list[str]) -> int:
    """Return the number of columns up to the last one that is not empty: exports pad their first lines."""
    return max((at for at, value in enumerate(row, 1) if value.strip()), default=0)


def _is_header(row: list[str]) -> bool:
    names = [name.strip() for name in row[: _filled(row)]]
    return all(names) and len(set(names)) == len(names) and not any(_is_number(name) for name in names)


def _is_number(text: str) -> bool:
    return text.lstrip("+-").replace(".", "").replace(",", "").isdigit()


def _row(names: list[str], row: list[str]) -> str:
    values = [value.strip() for value in row]
    named = [f"{name}: {value}" for name, value in zip(names, values, strict=False) if value and name]
    named += [value for name, value in zip(names, values, strict=False) if value and not name]
    return "; ".join(named + [value for value in values[len(names) :] if value])


def json_pieces(path: Path, findings: Findings) -> Iterator[Piece]:
    """Read JSON as the entries of a list or the sections of an object. A broken or large file is read as text.

    Raises HostFault when the file is not text, and OSError when it cannot be read.
    """
    if path.stat().st_size > MOST_JSON:
        return text_pieces(path, findings)
    try:
        # Any: the file may contain any value.
        value: Any = json.loads(path.read_text(encoding(path).name, "replace"))
    except (ValueError, RecursionError):
        findings.notes.append("It is not valid JSON, so it was read as text.")
        return text_pieces(path, findings)
    return _json_pieces(value, findings)


def _json_pieces(value: Any, findings: Findings) -> Iterator[Piece]:
    # Any: the file may contain any value.
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
    """Yield each plain value on a line with its path. A short list or object of plain values is one line."""
    # Any: a value from the file. An explicit stack, because a file may be nested deeper than Python can recurse.
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
    """Return a list or an object as one line, or "" if it is too long or contains lists or objects."""
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
