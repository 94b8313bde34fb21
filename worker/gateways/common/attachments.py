"""Files of inbound messages as a provider describes them, and the notes she gets about files that do not arrive."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final, NamedTuple

from proto.gateways import Inbound
from proto.perception import EXTENSIONS

TYPES: Final = {
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/png": ".png",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "audio/mpeg": ".mp3",
    "audio/mp3": ".mp3",
    "audio/mp4": ".m4a",
    "audio/x-m4a": ".m4a",
    "audio/aac": ".aac",
    "audio/ogg": ".ogg",
    "audio/opus": ".opus",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/vnd.wave": ".wav",
    "audio/webm": ".webm",
    "audio/flac": ".flac",
    "application/pdf": ".pdf",
    "text/plain": ".txt",
    "text/csv": ".csv",
    "text/markdown": ".md",
    "application/json": ".json",
}
NO_TEXT: Final = frozenset({"text/html", "text/rtf", "text/vcard", "text/x-vcard", "text/calendar"})
"""Texts that are not meant to be read as they are."""

NOUNS: Final = {
    "image": "a picture",
    "audio": "a voice message or audio file",
    "video": "a video",
    "text/vcard": "a contact card",
    "text/x-vcard": "a contact card",
}
TITLE_CHARS: Final = 100


class NotFetchedError(Exception):
    """The file cannot be fetched. The text says why, as the end of a sentence."""


class TooLargeError(NotFetchedError):
    """The file is over the limit, whatever size the provider stated."""


class Attachment(NamedTuple):
    """A file as its provider describes it. ``source`` is its URL or its id there, ``size`` is in bytes.

    ``noun`` names it in a sentence ("a photo") if the provider knows what it is. ``note`` goes with the file to her.
    """

    source: str
    content_type: str = ""
    title: str = ""
    size: int | None = None
    noun: str = ""
    note: str = ""

    @property
    def type(self) -> str:
        """The content type without parameters."""
        return self.content_type.partition(";")[0].strip().lower()

    @property
    def extension(self) -> str:
        """The extension that decides which perception takes the file, "" if none does.

        The name's own ending counts if a perception knows it, else the provider's type; any other text is plain text.
        """
        ending = PurePosixPath(self.title).suffix.lower()
        found = ending if ending in EXTENSIONS else TYPES.get(self.type, "")
        if not found and self.type.startswith("text/") and self.type not in NO_TEXT:
            found = ".txt"
        return found if found in EXTENSIONS else ""

    @property
    def what(self) -> str:
        """What the file is, as part of a sentence."""
        noun = self.noun or NOUNS.get(self.type) or (NOUNS.get(self.type.partition("/")[0]) if not self.title else "")
        named = f' named "{_shortened(self.title)}"' if self.title else ""
        return f"{noun or 'a file'}{named}"


def unperceived(file: Attachment) -> str:
    """The note for her about a file that no perception takes."""
    return f"(The person sent {file.what}, which cannot be perceived: only {', '.join(EXTENSIONS)} can. Tell them.)"


def unwanted(file: Attachment) -> str:
    """The note for her about a file that was not fetched because of its sender."""
    return f"(The person sent {file.what}, which was not fetched.)"


def lost(file: Attachment, error: NotFetchedError) -> str:
    """The note for her about a file that cannot be fetched."""
    size = f" of {file.size / 1_048_576:.1f} MB" if file.size else ""
    return f"(The person sent {file.what}{size}, but it could not be fetched: {error}. Tell them.)"


def attach(inbound: Inbound, file: Attachment, name: str) -> None:
    """Attach a fetched file to its message."""
    inbound.kind, inbound.media, inbound.title = EXTENSIONS[file.extension], name, _shortened(file.title)


def joined(*parts: str) -> str:
    """Join the parts that are not empty, one per line."""
    return "\n".join(part for part in parts if part)


def shown(text: str) -> str:
    """Return the text as one short line."""
    return " ".join(text.split())[:TITLE_CHARS]


def _shortened(title: str) -> str:
    """Return a file's name as one short line that keeps its ending."""
    line = " ".join(title.split())
    ending = PurePosixPath(line).suffix
    if len(line) <= TITLE_CHARS or len(ending) > TITLE_CHARS // 2:
        return line[:TITLE_CHARS]
    return f"{line[: TITLE_CHARS - len(ending) - 1]}…{ending}"
