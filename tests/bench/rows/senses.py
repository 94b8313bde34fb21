"""Eye and researcher: pictures read, pages studied and searched, and the organ host's memory afterwards."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

from proto.host import Look, Search, Study
from tests.bench import processes
from tests.bench.figures import median, megabytes, milliseconds
from tests.bench.table import Line
from tests.organ_host_process import OrganHostProcess
from tests.worker.embedded.papers import pdf, picture

ROUNDS: Final = 5
NOTE: Final = [
    "Invoice 2026-0817",
    "2 chairs at 89.95 EUR",
    "Delivery on 30 November",
    "Total: $1,249.50",
    "Thank you!",
]
LETTER: Final = [
    f"Line {line} of a letter that fills the upper half of a page, with 12 words." for line in range(1, 21)
]

PAGES: Final = 50
DOCUMENTS: Final = 20
WORDS: Final = (
    "budget",
    "harvest",
    "invoice",
    "garden",
    "meeting",
    "contract",
    "journey",
    "machine",
    "letter",
    "holiday",
)

GOAL_PICTURE: Final = 1.0
GOAL_STUDY: Final = 0.5
GOAL_SEARCH: Final = 0.05
GOAL_MEMORY: Final = 600_000_000


def measure() -> list[Line]:
    """Look at a note and a letter; study documents of 50 pages, and ask about all of them."""
    with tempfile.TemporaryDirectory(prefix="personad-bench-") as name:
        folder = Path(name)
        host = OrganHostProcess(folder)
        try:
            return [*_eye(host, folder), *_researcher(host, folder)]
        finally:
            host.close()


def _eye(host: OrganHostProcess, folder: Path) -> list[Line]:
    for name, lines in (("note", NOTE), ("letter", LETTER)):
        picture(lines, size=16 if lines is NOTE else 11).save(folder / f"{name}.png")
    empty = processes.memory(host.process.pid).rss
    first = _asked(host, Look(1, str(folder / "note.png")), "89.95")
    note = median([_asked(host, Look(1, str(folder / "note.png")), "89.95") for _ in range(ROUNDS)])
    letter = median([_asked(host, Look(1, str(folder / "letter.png")), "Line 20 of") for _ in range(ROUNDS)])
    full = processes.memory(host.process.pid).rss
    return [
        Line(
            f"embedded eye: first picture, with loading; {len(NOTE)} lines of text; {len(LETTER)} lines",
            "",
            "; ".join(map(milliseconds, (first, note, letter))),
            None,
            "5 lines <= 1 s",
            note <= GOAL_PICTURE,
            {"first": first, "note": note, "letter": letter},
        ),
        Line(
            "RSS of the organ host: empty; with the eye",
            "",
            "; ".join(map(megabytes, (empty, full))),
            None,
            "< 600 MB",
            full < GOAL_MEMORY,
            {"empty": empty, "eye": full},
        ),
    ]


def _researcher(host: OrganHostProcess, folder: Path) -> list[Line]:
    library = str(folder / "library.db")
    for number in range(DOCUMENTS):
        (folder / f"{number}.pdf").write_bytes(pdf([_page(number, page) for page in range(1, PAGES + 1)]))
    study = _asked(host, Study(2, str(folder / "0.pdf"), "", library), "50 pages")
    rest = _asked(host, Search(3, "marker 19x50", [str(folder)], library), "[19.pdf, page 50]")
    questions = ["How large was the budget for the garden?", "What does marker 7x13 say?", "contract and machine"]
    search = median([_asked(host, Search(4, asked, [str(folder)], library), "[") for asked in questions * ROUNDS])
    return [
        Line(
            f"embedded researcher: {PAGES} pages studied; {(DOCUMENTS - 1) * PAGES} more by a search; a search",
            "",
            "; ".join(map(milliseconds, (study, rest, search))),
            None,
            "<= 500 ms; search <= 50 ms",
            study <= GOAL_STUDY and search <= GOAL_SEARCH,
            {"study": study, "rest": rest, "search": search},
        )
    ]


def _page(document: int, page: int) -> list[str]:
    words = [WORDS[(document * 7 + page * 5 + at * at) % len(WORDS)] for at in range(300)]
    return [f"Marker {document}x{page}.", *(" ".join(words[at : at + 10]) for at in range(0, 300, 10))]


def _asked(host: OrganHostProcess, message: Look | Study | Search, expected: str) -> float:
    begun = time.perf_counter()
    answer = host.ask(message)
    taken = time.perf_counter() - begun
    assert expected in (answer.text or ""), answer
    return taken
