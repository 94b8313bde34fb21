"""PDFs by page: the page's text, or what the eye reads if the page is a picture."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from worker.embedded import ocr, weights
from worker.embedded.documents import Findings, counted
from worker.embedded.fault import HostFault
from worker.embedded.passages import Piece
from worker.embedded.pdf_forms import filled_in
from worker.embedded.pdf_text import is_legible, text_of

if TYPE_CHECKING:
    from PIL import Image

MOST_PAGES: Final = 3_000
MOST_SCANS: Final = 30
SCAN_SECONDS: Final = 40.0
ALL_SCANS_SECONDS: Final = 180.0

DOTS: Final = 200 / 72
"""Pixels per point of a page that is read as a picture: 200 dots per inch."""

MOST_SIDE: Final = 3_000
"""Pixels of such a picture's longer side."""

REASONS: Final = {
    3: "It is no PDF, or it is damaged.",
    4: "It is protected by a password: send it without one.",
    5: "It is protected in a way that cannot be read.",
}
"""Reasons by the error codes of PDFium's fpdfview.h."""


class _Scans:
    """Reads pages without text with the eye, while there is time."""

    def __init__(self) -> None:
        self._read = 0
        self._left = ALL_SCANS_SECONDS
        self.missed: list[int] = []
        self._unsure: list[int] = []
        self.fault = ""

    def text(self, page: Any, number: int) -> str:
        """Return a page's text, or "" if it is blank or too many pages came before it."""
        # Any: pypdfium2 has no types.
        if self.fault or self._read == MOST_SCANS or self._left <= 0:
            self.missed.append(number)
            return ""
        picture = _rendered(page)
        low, high = picture.convert("L").getextrema()
        if low == high:
            return ""
        begun = time.monotonic()
        try:
            reading = ocr.shared().read(picture, min(SCAN_SECONDS, self._left))
        except HostFault as fault:
            self.fault = str(fault)
            self.missed.append(number)
            return ""
        self._read += 1
        self._left -= time.monotonic() - begun
        if reading.unread or reading.doubtful or not reading.whole:
            self._unsure.append(number)
        return reading.text

    def notes(self) -> list[str]:
        """Return sentences about which pages were read as pictures and which were not."""
        told = []
        if self._read:
            told.append(f"{counted(self._read, 'page')} had to be read off pictures, where letters may be wrong.")
        if self._unsure:
            told.append(
                f"On {counted(len(self._unsure), 'page')} of these, the first of them page {self._unsure[0]}, lines "
                "are missing or wrong: they are hard to read, or not in Latin, Chinese or Japanese letters."
            )
        if self.missed:
            reason = self.fault or "there were too many"
            told.append(
                f"{counted(len(self.missed), 'page')} of pictures, from page {self.missed[0]} on, "
                f"could not be read: {reason.rstrip('.')}."
            )
        return told


def pdf_pieces(path: Path, findings: Findings) -> Iterator[Piece]:
    """Read a PDF page by page. Raises HostFault when it cannot be opened, and OSError."""
    weights.require("researcher")
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        raise HostFault(REASONS.get(error.err_code, REASONS[3])) from error
    scans = _Scans()
    broken: list[int] = []
    with document:
        document.init_forms()
        pages = len(document)
        for number in range(1, min(pages, MOST_PAGES) + 1):
            try:
                yield Piece("page", number, _page_text(document, number, scans))
            except pypdfium2.PdfiumError:
                broken.append(number)
    findings.extent = f"a PDF of {counted(pages, 'page')}"
    findings.notes += scans.notes()
    if broken:
        findings.notes.append(
            f"{counted(len(broken), 'page')}, the first of them page {broken[0]}, "
            "could not be read: the file is damaged there."
        )
    if pages > MOST_PAGES:
        findings.notes.append(f"Only the first {MOST_PAGES:,} pages were read.")


def _page_text(document: Any, number: int, scans: _Scans) -> str:
    # Any: pypdfium2 has no types.
    page = document[number - 1]
    try:
        words = text_of(page)
        if not is_legible(words):
            words = scans.text(page, number) or words
        fields = filled_in(page, document.formenv) if document.formenv else ""
        return f"{words}\n\nFilled in:\n{fields}" if fields else words
    finally:
        page.close()


def _rendered(page: Any) -> Image.Image:
    # Any: pypdfium2 has no types.
    scale = min(DOTS, MOST_SIDE / max(*page.get_size(), 1.0))
    bitmap = page.render(scale=scale)
    try:
        picture: Image.Image = bitmap.to_pil().convert("RGB")
        return picture
    finally:
        bitmap.close()
