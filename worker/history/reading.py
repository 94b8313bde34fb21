"""Reads the conversations from an export's file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, NamedTuple

from proto.feeds import Source
from worker.history import chatgpt, claude, gemini, grok, personad
from worker.history.activity_page import ActivityPage
from worker.history.archive import Archive, DamagedError, is_archive
from worker.history.imported import ForeignError, HistoryError, Imported
from worker.history.stream import JsonStream, Readable
from worker.prompting.origin import LABELS

_BOM: Final = b"\xef\xbb\xbf"


class Parser(NamedTuple):
    """How the export of one source is read.

    ``members`` matches the names, without folders, of the archive members that hold conversations. If ``sifted``,
    members are recognized by their content, because their names vary with export version and the person's language.
    ``page_talks`` reads a member, or a file, that is a web page.
    """

    talks: Callable[[JsonStream], Iterator[Imported | None]]
    members: re.Pattern[str]
    sifted: bool = False
    page_talks: Callable[[ActivityPage], Iterator[Imported | None]] | None = None


PARSERS: Final[dict[Source, Parser]] = {
    "chatgpt": Parser(chatgpt.talks, chatgpt.MEMBERS),
    "claude": Parser(claude.talks, claude.MEMBERS),
    "gemini": Parser(gemini.talks, gemini.MEMBERS, sifted=True, page_talks=gemini.page_talks),
    "grok": Parser(grok.talks, grok.MEMBERS, sifted=True),
    "personad": Parser(personad.talks, personad.MEMBERS),
}


class Found(NamedTuple):
    """A conversation, and how far the export has been read, in bytes (unpacked bytes for an archive)."""

    talk: Imported
    position: int
    size: int


class History:
    """One export. Conversations are read on demand; nothing else of it is held in memory."""

    def __init__(self, path: Path, source: Source) -> None:
        self.skipped = 0
        """Records that have no text, have an unknown form or are too large."""
        self._path = path
        self._parser = PARSERS[source]
        self._label = LABELS[source]

    def talks(self) -> Iterator[Found]:
        """Yield the conversations in the export's order. Raises HistoryError when it can be read no further."""
        with self._path.open("rb") as file:
            head = file.read(4)
            file.seek(0)
            if is_archive(head):
                yield from self._archived(file)
            else:
                size = self._path.stat().st_size
                yield from self._document(file, 0, size, is_page=head.lstrip(_BOM).startswith(b"<"))

    def _archived(self, file: BinaryIO) -> Iterator[Found]:
        archive = Archive(file)
        members = archive.members()
        chosen = [info for info in members if self._parser.members.fullmatch(PurePosixPath(info.filename).name)]
        archive.check(chosen)
        size = sum(info.file_size for info in chosen)
        before, read = 0, 0
        for info in chosen:
            with archive.open(info) as member:
                found = False
                try:
                    for one in self._document(member, before, size, is_page=info.filename.endswith(".html")):
                        found = True
                        yield one
                    read += 1
                except DamagedError:
                    raise
                except HistoryError:
                    if found or not self._parser.sifted:
                        raise
            before += info.file_size
        if not read:
            inner = any(info.filename.lower().endswith(".zip") for info in members)
            hint = ": unpack it, and feed the archive that is in it" if inner else ""
            raise ForeignError(f"the archive holds no conversations of {self._label}{hint}")

    def _document(self, file: Readable, before: int, size: int, *, is_page: bool) -> Iterator[Found]:
        document: JsonStream | ActivityPage
        if is_page and self._parser.page_talks:
            document = page = ActivityPage(file)
            talks = self._parser.page_talks(page)
        else:
            document = stream = JsonStream(file)
            talks = self._parser.talks(stream)
        for talk in talks:
            if talk is None:
                self.skipped += 1
            else:
                yield Found(talk, before + document.position, size)
        self.skipped += document.oversized
