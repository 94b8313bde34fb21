"""Documents as passages: the content of each kind of file, and its places."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daemon_process import ROOT
from tests.worker.embedded.papers import LOCKED, pdf
from worker.embedded import pdf as pdf_module
from worker.embedded.documents import Findings
from worker.embedded.fault import HostFault
from worker.embedded.library import READERS
from worker.embedded.passages import SIZE, Passage, Piece, cut


def read(path: Path, findings: Findings | None = None) -> list[Passage]:
    """All passages of a file."""
    return list(cut(READERS[path.suffix](path, findings or Findings())))


def places(path: Path, *words: str) -> list[str]:
    """Return the places of a text."""
    passages = read(path)
    return [next(passage.place for passage in passages if word in passage.text) for word in words]


def test_pages_of_a_pdf(tmp_path: Path) -> None:
    """Each page has its number, and hyphens at the end of a line are removed."""
    path = tmp_path / "report.pdf"
    path.write_bytes(pdf([[f"Page {page} is about subject{page:03}."] for page in range(1, 51)]))
    findings = Findings()
    assert [passage.place for passage in read(path, findings)] == [f"page {page}" for page in range(1, 51)]
    assert places(path, "subject001", "subject037", "subject050") == ["page 1", "page 37", "page 50"]
    assert findings == Findings("a PDF of 50 pages", [])


def test_limits_of_a_pdf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that are left out are reported."""
    monkeypatch.setattr(pdf_module, "MOST_PAGES", 2)
    path = tmp_path / "long.pdf"
    path.write_bytes(pdf([["Enough text to read."]] * 3))
    findings = Findings()
    assert len(read(path, findings)) == 2
    assert findings == Findings("a PDF of 3 pages", ["Only the first 2 pages were read."])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (LOCKED, "protected by a password"),
        (b"%PDF-1.7\nand nothing of the kind", "no PDF, or it is damaged"),
        (b"", "no PDF, or it is damaged"),
        (pdf([["Enough text to read."]] * 9)[:200], "no PDF, or it is damaged"),
    ],
)
def test_pdfs_that_cannot_be_opened(tmp_path: Path, content: bytes, reason: str) -> None:
    """A PDF with a password and broken PDFs are refused with a reason."""
    path = tmp_path / "report.pdf"
    path.write_bytes(content)
    with pytest.raises(HostFault, match=reason):
        read(path)


def test_rows_of_a_table(tmp_path: Path) -> None:
    """A row names its columns, so that it can be quoted alone, and is numbered as in a spreadsheet."""
    path = tmp_path / "prices.csv"
    rows = "".join(f'"Chair, no. {number}";{number * 10},50;;x{number}\n' for number in range(2, 200))
    path.write_text(f"\ufeffName;Price;Colour;Code\n{rows}", "utf-8")
    findings = Findings()
    passages = read(path, findings)
    assert findings.extent == "a table of 199 rows with the columns Name, Price, Colour, Code"
    assert "Name: Chair, no. 77; Price: 770,50; Code: x77\n" in "\n".join(passage.text for passage in passages)
    assert passages[0].place.startswith("rows 1-")
    wanted = next(passage for passage in passages if "no. 77;" in passage.text)
    first, last = map(int, wanted.place.removeprefix("rows ").split("-"))
    assert first <= 77 <= last
    assert last - first == wanted.text.count("\n")


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b"name\nAnna\n\0Bert\0\n", ["Columns: name\nname: Anna\nname: Bert"]),
        (b"1,2\n3,4,5\n", ["1; 2\n3; 4; 5"]),
        (b'a,b\n1,"never ends\n' + b"x" * 200_000, ["Columns: a, b"]),
        (b"", []),
    ],
)
def test_odd_tables(tmp_path: Path, content: bytes, texts: list[str]) -> None:
    """One column, NULs, no header, an unclosed quote: everything readable is read."""
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    assert [passage.text for passage in read(path)] == texts


def test_json(tmp_path: Path) -> None:
    """Entries and sections of JSON have their names; half a surrogate pair does no harm."""
    path = tmp_path / "orders.json"
    path.write_text(json.dumps([{"id": at, "customer": {"name": f"Kim{at}"}, "tags": ["a"]} for at in range(100)]))
    assert read(path)[0].text.startswith("id: 0\ncustomer: name: Kim0\ntags: a\nid: 1\n")
    assert read(path)[0].place.startswith("entries 1-")
    path.write_text('{"rent": {"amount": 950, "due": "1st\\ud800"}, "pets": false}')
    assert read(path) == [
        Passage("section rent", "rent: amount: 950; due: 1st?"),
        Passage("section pets", "pets: false"),
    ]


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, "[" * 500 + "]" * 500, '{"a":' * 5000, '{"open": "end', "9" * 10_000, '"' + "x" * 9_000_000],
)
def test_json_that_is_none_is_read_as_text(tmp_path: Path, content: str) -> None:
    """Broken JSON, endless nesting and huge numbers become lines of text, and never an error."""
    path = tmp_path / "bomb.json"
    path.write_text(content)
    passages = read(path)
    assert all(len(passage.text) <= SIZE for passage in passages)
    assert sum(len(passage.text) for passage in passages) in (len(content), 0)


@pytest.mark.parametrize(
    "written",
    ["utf-8", "utf-8-sig", "utf-16", "cp1252"],
)
def test_encodings(tmp_path: Path, written: str) -> None:
    """Text is read by its byte order mark, as UTF-8, or as Western European; lines are counted."""
    path = tmp_path / "letter.txt"
    path.write_bytes("Der Wein kostet 12 €.\r\nDas Café schließt.\rEnde\n".encode(written))
    assert read(path) == [Passage("lines 1-3", "Der Wein kostet 12 €.\nDas Café schließt.\nEnde")]


def test_what_is_no_text(tmp_path: Path) -> None:
    """A compressed file with a text file's extension is refused."""
    path = tmp_path / "letter.txt"
    path.write_bytes(bytes(range(256)) * 100)
    with pytest.raises(HostFault, match="no text"):
        read(path)


def test_headings_of_markdown(tmp_path: Path) -> None:
    """Headings, except those in code, are the places of the text below them."""
    path = tmp_path / "manual.md"
    path.write_text(
        "Preface.\n\n# Usage\nStart it.\n## Options ##\n```sh\n# no heading\n```\n-v says more.\n# End\nDone.\n"
    )
    assert [(passage.place, passage.text.split("\n")[-1]) for passage in read(path)] == [
        ("line 1", "Preface."),
        ("section Usage", "Start it."),
        ("section Usage > Options", "-v says more."),
        ("section End", "Done."),
    ]


@pytest.mark.parametrize(
    "pieces",
    [
        lambda: [Piece("page", 1, "word " * 1000)],
        lambda: [Piece("page", 1, "x" * 5000)],
        lambda: [Piece("line", at, "This is line number " * 3) for at in range(100)],
        lambda: [Piece("section", "A", "One sentence. " * 90 + "\n\nAnother paragraph. " * 90)],
    ],
)
def test_no_passage_is_too_long_and_no_word_is_lost(pieces: Callable[[], list[Piece]]) -> None:
    """However long a line, a page or a section is, its passages contain all of it once."""
    passages = list(cut(pieces()))
    assert all(0 < len(passage.text) <= SIZE for passage in passages)
    assert "".join(" ".join(passage.text for passage in passages).split()) == "".join(
        "".join(piece.text for piece in pieces()).split()
    )


@pytest.mark.frugal
def test_memory_stays_small(tmp_path: Path) -> None:
    """A file of 20 MB in two lines is read with less than 60 MB above Python's own memory."""
    path = tmp_path / "large.txt"
    with path.open("w") as file:
        file.writelines("some words in a very long line " * 10_000 for _ in range(65))
        file.write("\nThe end.")
    program = (
        "import resource, sys; from pathlib import Path; from worker.embedded.documents import *\n"
        "from worker.embedded.passages import cut\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "*_, last = cut(text_pieces(Path(sys.argv[1]), Findings()))\n"
        "print(last.place, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    place, _, grown = done.stdout.rpartition(" ")
    assert place in ("line 2", "lines 1-2")
    assert int(grown) < 60_000
