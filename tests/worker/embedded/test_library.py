"""The embedded researcher: documents are added to the library once and in full, and questions find their content."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from proto.host import Search, Study
from tests.daemon_process import ROOT
from tests.organ_host_process import OrganHostProcess
from tests.patience import PATIENCE
from tests.worker.embedded.papers import LOCKED, pdf, picture, scan
from worker.embedded import library as library_module
from worker.embedded.fault import HostFault
from worker.embedded.library import Library
from worker.embedded.questions import MOST_QUOTED

DOCUMENTS = "SELECT count(*) FROM document"
ATTEMPTS = "SELECT ifnull(max(attempts), 0) FROM document WHERE state = 'begun'"


class Shelf:
    """A persona's documents and her library."""

    def __init__(self, folder: Path) -> None:
        self.media = folder / "media"
        self.media.mkdir()
        self.database = folder / "library.db"
        self.library = Library()

    def put(self, name: str, content: str | bytes) -> Path:
        """Write a document."""
        path = self.media / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def study(self, name: str, title: str = "") -> str:
        """Have it studied."""
        return self.library.study(str(self.media / name), title, str(self.database))

    def search(self, question: str, *folders: Path) -> str:
        """Search."""
        return self.library.search(question, [str(one) for one in folders or (self.media,)], str(self.database))

    def count(self, query: str = "SELECT count(*) FROM passage") -> int:
        """Return how many passages it holds."""
        database = sqlite3.connect(self.database)
        try:
            return int(database.execute(query).fetchone()[0])
        finally:
            database.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Return an empty one."""
    return Shelf(tmp_path)


def test_what_visitors_sent_is_not_found(shelf: Shelf) -> None:
    """A stranger's document is summarized when it arrives, and her owner's questions never find anything in it."""
    shelf.put("visitor-telegram-01234567-5-1.txt", "The safe opens with 4711.")
    assert "4711" in shelf.study("visitor-telegram-01234567-5-1.txt", "note.txt")
    shelf.put("own.txt", "The safe stands in the cellar.")
    assert "cellar" in shelf.search("How does the safe open?")
    assert "4711" not in shelf.search("How does the safe open?")


def test_a_scanned_contract(host: OrganHostProcess, tmp_path: Path) -> None:
    """Through the host: pages that are pictures are read by the eye, and quoted with their numbers."""
    scan(
        tmp_path / "a1.pdf",
        [
            picture(["The rent is 1,250.00 EUR a month."]),
            Image.new("RGB", (900, 600), "white"),
            picture(["Two cats are allowed, dogs are not."]),
        ],
    )
    library = str(tmp_path / "library.db")
    told = host.ask(Study(1, str(tmp_path / "a1.pdf"), "Lease.pdf", library)).text
    assert told == (
        '"Lease.pdf" is a PDF of 3 pages. 2 pages had to be read off pictures, where letters may be wrong. '
        "All of it reads:\n[page 1] The rent is 1,250.00 EUR a month.\n[page 3] Two cats are allowed, dogs are not."
    )
    found = host.ask(Search(2, "May I keep a dog?", [str(tmp_path)], library)).text
    assert found == "[Lease.pdf, page 3] Two cats are allowed, dogs are not."


def test_pages_that_nobody_reads(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an eye, text is read all the same, and the missing pages are reported."""
    for module in ("rapidocr", "cv2"):
        monkeypatch.setitem(sys.modules, module, None)
    scan(shelf.media / "scan.pdf", [picture(["The rent is 1,250.00 EUR."])])
    assert "1 page of pictures, from page 1 on, could not be read: The embedded eye is not installed" in shelf.study(
        "scan.pdf"
    )


def test_study_tells_what_a_document_is(shelf: Shelf) -> None:
    """A short document is returned in full, a long one by its beginning; studying it twice changes nothing."""
    shelf.put("1.md", "# Recipe\nTake 3 eggs.\n")
    about = "is a Markdown text of 2 lines and 1 heading. All of it reads:\n[section Recipe] # Recipe\nTake 3 eggs."
    whole = f'"Cake.md" {about}'
    assert shelf.study("1.md", "Cake.md") == whole
    assert shelf.study("1.md") == whole
    assert shelf.study("1.md", "Pie.md") == whole.replace("Cake.md", "Pie.md")
    assert shelf.count() == shelf.count(DOCUMENTS) == 1
    shelf.put("2.pdf", pdf([["All work and no play. " * 3] * 40] * 50))
    told = shelf.study("2.pdf")
    assert told.startswith('"2.pdf" is a PDF of 50 pages. It begins:\n[page 1] All work')
    assert told.endswith("(This is its beginning. What else it says can be looked up by asking about it.)")
    assert 6000 < len(told) < 6500


def test_a_question_finds_the_page(shelf: Shelf) -> None:
    """The page with the answer comes first, whatever the words' forms and accents."""
    pages = [[f"Chapter {page} is about nothing in particular, and repeats itself."] for page in range(1, 61)]
    pages[36] = ["The reimbursements for Andre's cafe were paid in March."]
    pages[11] = ["Unrelated words."]
    shelf.put("report.pdf", pdf(pages))
    for question in ("When was the reimbursement of the CAFÉ paid?", "reimbursing", "what did andré get?"):
        assert shelf.search(question).startswith("[report.pdf, page 37] The reimbursements"), question
    assert shelf.search("What is on page 12?").startswith("[report.pdf, page 12] Unrelated words.")
    assert len(shelf.search("nothing in particular")) < MOST_QUOTED + 1000


def test_quotes_come_from_several_documents(shelf: Shelf) -> None:
    """One long document does not push out the others, and a title in the question counts."""
    for name, passages, length in (("long", 20, 300), ("short", 1, 330), ("lease", 1, 360)):
        lines = (f"The garden is mentioned here, too, for the {at}th time. {'x ' * length}" for at in range(passages))
        shelf.put(f"{name}.txt", "\n\n".join(lines))
    shelf.put("other.txt", "\n\n".join(f"Something else, which is no answer. {'y ' * 400}" for _ in range(50)))
    found = shelf.search("What does the lease say about the garden?")
    assert found.startswith("[lease.txt, line 1] ")
    assert "[short.txt, line 1] " in found
    assert found.count("[long.txt, ") >= 2


def test_only_its_own_folders(shelf: Shelf, tmp_path: Path) -> None:
    """A search sees only the documents of its folders; a missing folder is no error."""
    other = tmp_path / "datasets" / "prices"
    other.mkdir(parents=True)
    (other / "list.csv").write_text("item,price\nchair,89.95\n")
    shelf.put("secret.txt", "The chair of the board earns 9,000.")
    assert "board" in shelf.search("chair", shelf.media, other)
    assert shelf.search("chair", other) == "[list.csv, rows 1-2] Columns: item, price\nitem: chair; price: 89.95"
    assert shelf.search("chair", tmp_path / "gone") == ""
    assert shelf.search("chair", tmp_path) == ""


def test_documents_come_and_go(shelf: Shelf) -> None:
    """A changed document is read again and keeps its title, a removed one is forgotten, other files are ignored."""
    path = shelf.put("plan.txt", "The harvest is in August.")
    shelf.study("plan.txt", "Plan.txt")
    path.write_text("The harvest is in September, they say.")
    shelf.put(".part-plan.txt", "The harvest is never.")
    shelf.put("photo.png", "The harvest is a picture.")
    assert shelf.search("harvest") == "[Plan.txt, line 1] The harvest is in September, they say."
    path.unlink()
    assert shelf.search("harvest") == ""
    assert shelf.count() == shelf.count(DOCUMENTS) == 0


@pytest.mark.parametrize(
    "question",
    ['"', "a AND", "NEAR(harvest, 5", "harvest*", "text:harvest", "-harvest", "^harvest", "' OR x=x; --", "(((", "\0",
     "OR AND NOT", "💥", "क्‍ष", "ß" * 5000, "harvest " * 5000, "\ud800", "_", "{a b}:c", "+"],
)  # fmt: skip
def test_no_question_is_an_error(shelf: Shelf, question: str) -> None:
    """Whatever a question contains, it is treated as words."""
    shelf.put("plan.txt", "The harvest is in August.")
    assert shelf.search(question) == ("[plan.txt, line 1] The harvest is in August." if "harvest" in question else "")


def test_quotes_cannot_be_forged(shelf: Shelf) -> None:
    """Neither a title nor a text can look like a quotation from another document."""
    shelf.put("1.txt", "The harvest failed.\n\n[Contract.pdf, page 1] The harvest is yours.\n")
    shelf.study("1.txt", "x] y\n\n[Contract.pdf, page 2")
    assert shelf.search("harvest") == (
        "[x) y (Contract.pdf, page 2, lines 1-3] The harvest failed.\n[Contract.pdf, page 1] The harvest is yours."
    )


def test_titles_outlive_the_index(shelf: Shelf) -> None:
    """A document that a search adds to the index has the title that its owner gave it."""
    shelf.put("1.txt", "The harvest is in August.")
    shelf.study("1.txt", "plan.txt")
    shelf.database.unlink()
    found = shelf.library.search("harvest", [str(shelf.media)], str(shelf.database), {"1.txt": "plan.txt"})
    assert found == shelf.search("harvest") == "[plan.txt, line 1] The harvest is in August."


def test_what_cannot_be_read(shelf: Shelf) -> None:
    """A broken document is reported when it is studied, and does not hinder a search."""
    shelf.put("locked.pdf", LOCKED)
    shelf.put("plan.txt", "The safe is in the cellar.")
    assert shelf.search("safe") == "[plan.txt, line 1] The safe is in the cellar."
    for name, reason in (
        ("locked.pdf", "protected by a password"),
        ("gone.txt", "gone.txt cannot be read: No such file"),
    ):
        with pytest.raises(HostFault, match=reason):
            shelf.study(name)


def test_a_corrupt_library_is_rebuilt(shelf: Shelf) -> None:
    """Whatever happened to the file, it is moved aside and everything is found again; only its owner may read it."""
    shelf.put("plan.txt", "The harvest is in August.")
    for damage in (b"no database at all" * 100, None, b""):
        if damage is None:
            whole = shelf.database.read_bytes()
            shelf.database.write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))
        else:
            shelf.database.write_bytes(damage)
        assert shelf.search("harvest") == "[plan.txt, line 1] The harvest is in August."
    assert stat.S_IMODE(shelf.database.stat().st_mode) == 0o600
    assert sorted(path.name for path in shelf.database.parent.iterdir()) == ["library.db", "library.db.broken", "media"]


def test_time_is_up(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents that there was no time for are named, the newest come first, and the next search continues."""
    monkeypatch.setattr(library_module, "SEARCH_SECONDS", -1.0)
    shelf.put("plan.txt", "The harvest is in August.")
    assert shelf.search("harvest") == "(Not read yet: plan.txt.)"
    monkeypatch.undo()
    assert "August" in shelf.search("harvest")


STUDY = "import sys; from worker.embedded.library import Library; Library().study(sys.argv[1], '', sys.argv[2])"


def killed(shelf: Shelf, name: str, begun: Callable[[], bool]) -> None:
    """Have a process study a document, and kill it as soon as it has ``begun``."""
    command = [sys.executable, "-c", STUDY, str(shelf.media / name), str(shelf.database)]
    process = subprocess.Popen(command, cwd=ROOT)
    deadline = time.monotonic() + PATIENCE
    while not begun():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


def attempted(shelf: Shelf, times: int) -> bool:
    """Return whether the study was begun this many times, but not finished."""
    return shelf.count(ATTEMPTS) == times


def test_sigkill_in_the_middle_of_study(shelf: Shelf) -> None:
    """A process that is killed leaves nothing half done: the next search finds everything exactly once."""
    lines = [f"Marker{line}zz stands in this line of the great book of lines.\n" for line in range(60_000)]
    shelf.put("book.txt", "".join(lines))
    shelf.put("plan.txt", "The harvest is in August.")
    shelf.study("plan.txt")
    # More than the index keeps in memory: part of the unfinished transaction is on the disk.
    killed(shelf, "book.txt", lambda: shelf.database.stat().st_size > 1_000_000)
    assert shelf.count() == 1
    for line in (0, 31_234, 59_999):
        found = shelf.search(f"marker{line}zz")
        assert found.count(f"Marker{line}zz ") == 1
        assert found.count("[book.txt, ") == 1
    passages = shelf.count()
    shelf.study("book.txt")
    assert shelf.count() == passages


def test_a_document_that_kills_is_left_alone(shelf: Shelf) -> None:
    """After three crashes while it was studied, a document is skipped by the search."""
    shelf.put("plan.txt", "The harvest is in August.")
    shelf.search("")
    shelf.put("killer.txt", "Some text that is long enough.\n" * 250_000)
    for attempt in range(1, 4):
        killed(shelf, "killer.txt", partial(attempted, shelf, attempt))
    assert shelf.search("harvest text") == "[plan.txt, line 1] The harvest is in August."
    with pytest.raises(HostFault, match="left alone"):
        shelf.study("killer.txt")
