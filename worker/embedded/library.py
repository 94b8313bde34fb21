"""The embedded researcher: it studies documents, and quotes what they say about a question.

A library is an index (``index.py``) at a path that the daemon names. A document is committed to it whole or not at all,
and the attempt is committed before: one that ends the process several times is left alone.
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
"""Passages of one document, about 60 MB of text."""

MOST_TOLD: Final = 6_000
"""Characters of a document's beginning."""

MOST_ATTEMPTS: Final = 3
"""Studies of one version of a document that may end with the process."""

SEARCH_SECONDS: Final = 45.0
"""How long a search goes on with documents that are not in the index yet; the one in hand is finished."""

CANDIDATES: Final = 60
NAMED_UNREAD: Final = 5


class Library:
    """Studies and searches for all personas, each with an index of her own; blocking, so it lives on a thread."""

    def __init__(self) -> None:
        """Load nothing yet. Raise HostFault when a package is missing."""
        weights.require("researcher")

    def study(self, path: str, title: str, library: str) -> str:
        """Put the document at ``path`` into the index at ``library`` and tell what it holds. Raise HostFault."""
        return _with_index(Path(library), lambda index: _studied(index, Path(path), title))

    def search(
        self, question: str, folders: Sequence[str], library: str, titles: Mapping[str, str] = MappingProxyType({})
    ) -> str:
        """Quote what the documents in ``folders`` say about ``question``, "" when it is nothing. Raise HostFault.

        ``titles`` tells, by their files' names, what documents are called that are not in the index.
        A quote is ``[title, place] text``. A last line in round brackets names documents that are not read yet.
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
    """Drop documents that are gone and study those that are new; return the names of those left for later.

    What visitors sent was studied to be told of, and is not to be found.
    """
    known = {document.key: document for document in index.documents()}
    for one in known.values():
        if one.key.name.startswith(VISITORS) or not Path(one.key.folder, one.key.name).is_file():
            index.forget(one.id)
    deadline = time.monotonic() + SEARCH_SECONDS
    unread = []
    # The newest first: it is the likeliest to be asked about.
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
    """Read a document into the index; one that cannot be read is remembered with the reason. Raise OSError."""
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
    """Collects the beginning of a document, with the places where its parts stand."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._room = MOST_TOLD
        self.place = ""
        """The last place that was seen, within the beginning or after it."""

    def take(self, place: str, text: str) -> None:
        """Take the next passage, as long as there is room."""
        text = text if place == self.place else f"[{place}] {text}"
        self.place = place
        if self._room > 0:
            self._texts.append(text[: self._room])
        self._room -= len(text)

    def text(self) -> str:
        """Introduce it, and say when there is more."""
        if not self._texts:
            return "No text was found in it."
        text = "\n".join(self._texts)
        if self._room >= 0:
            return f"All of it reads:\n{text}"
        return f"It begins:\n{text}\n(This is its beginning. What else it says can be looked up by asking about it.)"
