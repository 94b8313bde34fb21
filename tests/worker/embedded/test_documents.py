"""Documents as passages: the content of each kind of file, and its places."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daemon_process import ROOT
from tests.worker.embedded.papers import LOCKED, arabic, form, pdf
from worker.embedded import ocr
from worker.embedded import pdf as pdf_module
from worker.embedded.documents import Findings
from worker.embedded.fault import HostFault
from worker.embedded.library import READERS
from worker.embedded.ocr import Reading
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


def test_a_form_that_was_filled_in(tmp_path: Path) -> None:
    """What somebody filled in is read with the fields' names; what is empty, unchecked or secret is not told."""
    path = tmp_path / "form.pdf"
    path.write_bytes(
        form(
            "/FT/Tx/T(name)/TU(Your name)/V(Ada Lovelace)",
            "/FT/Tx/T(form1[0].#sub[0].Plate[0])/V(B-AL 1815)",
            "/FT/Btn/T(resident)/V/Yes/AS/Yes/AP<</N<</Yes 3 0 R/Off 3 0 R>>>>",
            "/FT/Btn/T(pets)/V/Off/AS/Off/AP<</N<</Yes 3 0 R/Off 3 0 R>>>>",
            "/FT/Ch/T(floor)/Ff 131072/Opt[(first)(second)]/V(second)",
            "/FT/Tx/T(pin)/Ff 8192/V(4711)",
            "/FT/Tx/T(empty)",
        )
    )
    [passage] = read(path)
    assert passage.text.splitlines() == [
        "Name: Plate: Resident:",
        "",
        "Filled in:",
        "Your name: Ada Lovelace",
        "Plate: B-AL 1815",
        "resident: Yes",
        "floor: second",
    ]


class Painted:
    """An eye that knows what the page says."""

    def read(self, _picture: object, _seconds: float) -> Reading:
        return Reading("Read off the picture", whole=True, unread=1)


@pytest.mark.parametrize(
    ("words", "is_scanned"),
    [
        ("".join(map(chr, range(1, 45))), True),
        ("\ue001\ue002\ue003 \ue004 abcdefghi", True),
        ("\ufffd" * 40, True),
        ("....... -- .......", True),
        ("Enough text to read.", False),
        ("Silben\ufffe\ntrennung im Text", False),
    ],
)
def test_text_without_letters_is_read_off_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, is_scanned: bool
) -> None:
    """Where a font does not say which letters its glyphs are, the eye reads the page, and its doubts are told."""
    monkeypatch.setattr(pdf_module, "text_of", lambda _page: words)
    monkeypatch.setattr(ocr, "shared", Painted)
    path = tmp_path / "letter.pdf"
    path.write_bytes(pdf([["Enough text to read."]]))
    findings = Findings()
    text = read(path, findings)[0].text
    assert (text == "Read off the picture") == is_scanned
    assert ("On 1 page of these" in " ".join(findings.notes)) == is_scanned


JOURNEY = "خطة الرحلة"


@pytest.mark.parametrize("forms", [JOURNEY, "\ufea7\ufec4\ufe94 \ufe8d\ufedf\ufead\ufea3\ufedf\ufe94"])
@pytest.mark.parametrize("drawn", ["left to right", "right to left", "word by word"])
def test_arabic_is_read_from_right_to_left(tmp_path: Path, forms: str, drawn: str) -> None:
    """However a program draws the letters, each word has them in order, in the form that a search finds."""
    path = tmp_path / "plan.pdf"
    path.write_bytes(arabic(forms, drawn))
    assert read(path) == [Passage("page 1", JOURNEY)]


def test_rows_of_a_table(tmp_path: Path) -> None:
    """A row names its columns, so that it can be quoted alone, and is numbered as in a spreadsheet."""
    path = tmp_path / "prices.csv"
    rows = "".join(f'"Chair, no. {number}";{number * 10},50;;x{number}\n' for number in range(2, 200))
    path.write_text(f"\ufeffName;Price;Colour;Code\n{rows}", "utf-8")
    findings = Findings()
    passages = read(path, findings)
    assert findings.extent == "a table of 198 rows with the columns Name, Price, Colour, Code"
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


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("cp932", "これは日本語の文章です。会議は木曜日の午後三時に始まります。家賃は九万円です。"),
        ("euc_jp", "これは日本語の文章です。会議は木曜日の午後三時に始まります。家賃は九万円です。"),
        ("cp1251", "Договор аренды квартиры. Плата составляет тридцать тысяч рублей в месяц."),
        ("koi8_r", "Договор аренды квартиры. Плата составляет тридцать тысяч рублей в месяц. Ключи."),
        ("gb18030", "这是一份租赁合同。每月租金为三千元。钥匙在邻居那里。会议在星期四下午三点开始。"),
        ("cp1250", "Smlouva o nájmu bytu. Příliš žluťoučký kůň úpěl ďábelské ódy. Nájemné činí deset tisíc korun."),
        ("cp1253", "Συμβόλαιο ενοικίασης διαμερίσματος. Πληρώνεται κάθε μήνα."),
    ],
)
def test_older_encodings(tmp_path: Path, written: str, text: str) -> None:
    """A text without a mark is read in the encoding that its letters make likely, and that is said."""
    path = tmp_path / "letter.txt"
    path.write_bytes(("A long preface in plain letters.\n" * 3_000 + f"{text}\n" * 3).encode(written))
    findings = Findings()
    assert text in read(path, findings)[-1].text
    assert f"read as {written}" in " ".join(findings.notes)


@pytest.mark.parametrize(
    "text", ["Señor, el alquiler es de novecientos euros. Mañana será otro día.", "Grüße", "naïve"]
)
def test_western_text_stays_western(tmp_path: Path, text: str) -> None:
    """A guess needs letters to go by; where several encodings fit alike, the Western European one is taken."""
    path = tmp_path / "letter.txt"
    path.write_bytes(text.encode("cp1252"))
    findings = Findings()
    assert [passage.text for passage in read(path, findings)] == [text]
    assert findings.notes == []


@pytest.mark.parametrize("suffix", [".txt", ".md", ".csv"])
def test_one_bad_byte(tmp_path: Path, suffix: str) -> None:
    """A damaged byte costs one letter, not every letter of the file."""
    path = tmp_path / f"long{suffix}"
    path.write_bytes("Grüße utf8 line\n".encode() * 2_000 + b"caf\xe9\n" + "Ende schön\n".encode())
    findings = Findings()
    whole = "\n".join(passage.text for passage in read(path, findings))
    assert whole.count("Grüße utf8 line") >= 1_999
    assert "caf\ufffd" in whole
    assert "Ende schön" in whole
    assert findings.notes == ["Some of its letters are damaged."]


def test_one_bad_byte_in_json(tmp_path: Path) -> None:
    """It does not make JSON unreadable either."""
    path = tmp_path / "notes.json"
    path.write_bytes('{"a": "Grüße, schöne Grüße", "b": "'.encode() + b"\xff" + b'"}')
    assert read(path) == [Passage("section a", "a: Grüße, schöne Grüße"), Passage("section b", "b: \ufffd")]


@pytest.mark.parametrize("written", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark(tmp_path: Path, written: str) -> None:
    """No NUL gets into what is told of a table."""
    path = tmp_path / "table.csv"
    path.write_bytes("Datum;Ort\n01.02.2026;Köln\n".encode(written))
    findings = Findings()
    assert [passage.text for passage in read(path, findings)] == ["Columns: Datum, Ort\nDatum: 01.02.2026; Ort: Köln"]
    assert findings.extent == "a table of 1 row with the columns Datum, Ort"


BANK = """\
"Umsatzanzeige";"05.10.2026"
"Girokonto";"DE12 3456"
"Saldo";"1.234,56 EUR"

"Buchung";"Empfänger";"Verwendungszweck";"Betrag"
"01.10.2026";"Netflix";"Abo Oktober";"-12,99"
"02.10.2026";"REWE";"";"-48,10"
"03.10.2026";"Stadtwerke";"Abschlag";"-61,00"
"""


@pytest.mark.parametrize(
    ("content", "columns", "row"),
    [
        (BANK, "Buchung, Empfänger, Verwendungszweck, Betrag", "Empfänger: Netflix; Verwendungszweck: Abo Oktober"),
        (
            "Umsatzanzeige;05.10.2026;;\nGirokonto DE12;;;\nBuchung;Wer;Was;Betrag\n1;Netflix;Abo;-12,99\n2;REWE;;-4\n",
            "Buchung, Wer, Was, Betrag",
            "Wer: Netflix; Was: Abo; Betrag: -12,99",
        ),
        ("sep=;\nName;Preis\nStuhl;10,50\nTisch;20\n", "Name, Preis", "Name: Stuhl; Preis: 10,50"),
        ("SEP=|\r\nName|Price\r\nChair, oak|10\r\n", "Name, Price", "Name: Chair, oak; Price: 10"),
        ("a;b;c;\n1;2;3;\n4;5;6;\n", "a, b, c", "a: 1; b: 2; c: 3"),
        ("a,b,c,d,e\n1,2,,,\n3,4,,,\n5,6,,,\n", "a, b, c, d, e", "a: 1; b: 2"),
    ],
)
def test_tables_with_lines_above_the_header(tmp_path: Path, content: str, columns: str, row: str) -> None:
    """What stands above a table is no header: values are named by the row that names them."""
    path = tmp_path / "bank.csv"
    path.write_text(content)
    findings = Findings()
    assert row in "\n".join(passage.text for passage in read(path, findings))
    assert findings.extent.endswith(f"with the columns {columns}")


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
