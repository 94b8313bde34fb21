"""The embedded researcher: it studies documents and quotes what they say about a question.

A library is an index (``index.py``) at a path that the daemon names. A document is committed in full or not at all. The
attempt is committed first, so that a document that crashes the process several times is ignored from then on.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Final

from proto.perception import EXTENSIONS, VISITORS
from worker.embedded import questions, weights
from worker.embedded.documents import Findings, Reader, markdown_pieces, text_pieces
from worker.embedded.fault import HostFault
from worker.embedded.index import Document, Index, Key, is_corrupt, set_aside
from worker.embedded.passages import cut
from worker.embedded.pdf import pdf_pieces
from worker.embedded.structured import csv_pieces, json_pieces

READERS: Final[dict[str, Reader]] = {
    ".pdf": pdf_pieces,
    ".csv": csv_pieces,
    ".json": json_pieces,
    ".md": markdown_pieces,
    ".txt": text_pieces,
}

MOST_PASSAGES: Final = 60_000
"""Passages of one document: about 60 MB of text."""

MOST_TOLD: Final = 6_000
"""Characters of a document's beginning in its summary."""

MOST_ATTEMPTS: Final = 3
"""How often studying one version of a document may crash the process."""

SEARCH_SECONDS: Final = 45.0
"""How long a search first studies documents that are not in the index yet. One that was begun is finished."""

CANDIDATES: Final = 60
NAMED_UNREAD: Final = 5


class Library:
    """Studies and searches documents for all personas, each with her own index. It blocks, so it runs on a thread."""

    def __init__(self) -> None:
        """Load nothing yet. Raises HostFault when a package is missing."""
        weights.require("researcher")

    def study(self, path: str, title: str, library: str) -> str:
        """Add the document at ``path`` to the index at ``library``, and return its summary.

        Raises HostFault when the document cannot be read or the index cannot be used.
        """
        return _with_index(Path(library), lambda index: _studied(index, Path(path), title))

    def search(
        self, question: str, folders: Sequence[str], library: str, titles: Mapping[str, str] = MappingProxyType({})
    ) -> str:
        """Quote what the documents in ``folders`` say about ``question``, "" if they say nothing.

        ``titles`` maps file names to the titles of documents that are not in the index. A quotation has the form
        ``[title, place] text``. A last line in parentheses names documents that have not been read yet.
        Raises HostFault when the index cannot be used.
        """
        return _with_index(Path(library), lambda index: _searched(index, question, folders, titles))


def _with_index(library: Path, work: Callable[[Index], str]) -> str:
    def once() -> str:
        with closing(Index(library)) as index:
            return work(index)

    try:
        try:
            return once()
        except sqlite3.Error as error:
            if not is_corrupt(error):
                raise
            set_aside(library)
            return once()
    except sqlite3.Error as error:
        raise HostFault(f"The index of her documents cannot be used: {error}.") from error
    except OSError as error:
        raise HostFault(f"{Path(error.filename or library).name} cannot be read: {error.strerror}.") from error


def _studied(index: Index, path: Path, title: str) -> str:
    document = index.document(key := Key.of(path))
    title = title or (document.title if document else path.name)
    if document is None or document.state == "begun":
        _study(index, key, title, document)
    elif document.title != title:
        index.rename(document.id, title)
    document = index.document(key)
    assert document is not None
    if document.state != "studied":
        raise HostFault(document.told)
    return f'"{document.title}" is {document.told}'


def _searched(index: Index, question: str, folders: Sequence[str], titles: Mapping[str, str]) -> str:
    places = {os.path.realpath(folder) for folder in folders}
    unread = _catch_up(index, places, titles)
    asked = questions.words(question)
    expression = questions.expression(asked)
    found = index.find(expression, places, CANDIDATES) if expression and places else []
    quotes = [questions.quote(one) for one in questions.choose(found, asked)]
    if unread:
        more = f" and {len(unread) - NAMED_UNREAD} more" if len(unread) > NAMED_UNREAD else ""
        quotes.append(f"(Not read yet: {', '.join(unread[:NAMED_UNREAD])}{more}.)")
    return "\n\n".join(quotes)


def _catch_up(index: Index, folders: Iterable[str], titles: Mapping[str, str]) -> list[str]:
    """Delete documents whose files are gone, study new ones, and return the titles of those left for later.

    Documents from visitors were studied only for their summary and must not be found by a search.
    """
    known = {document.key: document for document in index.documents()}
    for one in known.values():
        if one.key.name.startswith(VISITORS) or not Path(one.key.folder, one.key.name).is_file():
            index.forget(one.id)
    deadline = time.monotonic() + SEARCH_SECONDS
    unread = []
    # The newest comes first, because a question is most likely to be about it.
    for key in sorted(_present(folders), key=lambda key: -key.mtime_ns):
        begun = known.get(key)
        if begun and begun.state != "begun":
            continue
        earlier = next((one.title for one in known.values() if one.key[:2] == key[:2]), key.name)
        title = titles.get(key.name) or earlier
        if time.monotonic() > deadline:
            unread.append(title)
            continue
        try:
            _study(index, key, title, begun)
        except OSError:
            unread.append(title)
    return unread


def _present(folders: Iterable[str]) -> list[Key]:
    found = []
    for path in (path for folder in folders if Path(folder).is_dir() for path in Path(folder).iterdir()):
        hidden = path.name.startswith((".", VISITORS))
        if EXTENSIONS.get(path.suffix.lower()) == "document" and not hidden and path.is_file():
            with suppress(FileNotFoundError):
                found.append(Key.of(path))
    return found


def _study(index: Index, key: Key, title: str, begun: Document | None) -> None:
    """Read a document into the index. If its content cannot be read, the reason is recorded. Raises OSError."""
    if begun and begun.attempts >= MOST_ATTEMPTS:
        index.fail(begun.id, "It was left alone, because reading it ended in a crash before.")
        return
    number = index.begin(key, title)
    try:
        with index.transaction():
            _store(index, number, Path(key.folder, key.name))
    except HostFault as fault:
        index.fail(number, str(fault))
    except OSError:
        index.forget(number)
        raise


def _store(index: Index, number: int, path: Path) -> None:
    findings = Findings()
    reader = READERS.get(path.suffix.lower(), text_pieces)
    beginning = _Beginning()
    first = last = 0
    for count, passage in enumerate(cut(reader(path, findings)), 1):
        if count > MOST_PASSAGES:
            findings.notes.append(f"It is so long that it was read up to {beginning.place} only.")
            findings.extent = findings.extent or "a very long document"
            break
        last = index.add(number, passage)
        first = first or last
        beginning.take(passage.place, passage.text)
    told = " ".join([f"{findings.extent}.", *findings.notes, beginning.text()])
    index.finish(number, told, first, last if first else -1)


class _Beginning:
    """Collects the beginning of a document with the places of its parts."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._room = MOST_TOLD
        self.place = ""
        """The place of the last passage, within the beginning or after it."""

    def take(self, place: str, text: str) -> None:
        """Add the next passage while there is room."""
        text = text if place == self.place else f"[{place}] {text}"
        self.place = place
        if self._room > 0:
            self._texts.append(text[: self._room])
        self._room -= len(text)

    def text(self) -> str:
        """Return the beginning with an introduction and a note if there is more."""
        if not self._texts:
            return "No text was found in it."
        text = "\n".join(self._texts)
        if self._room >= 0:
            return f"All of it reads:\n{text}"
        return f"It begins:\n{text}\n(This is its beginning. What else it says can be looked up by asking about it.)"
