"""Files that come with a message from a phone: by their content type, to the perception that takes it."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final, NamedTuple

from proto.gateways import Inbound
from proto.perception import EXTENSIONS
from worker.gateways.common.media import NotFetchedError

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
WHAT: Final = {"image": "a picture", "audio": "a voice message or audio file", "video": "a video", "text": "a file"}


class Attachment(NamedTuple):
    """A file as its provider describes it; ``source`` is its address or id there."""

    source: str
    content_type: str
    title: str = ""
    size: int | None = None

    @property
    def type(self) -> str:
        """The content type without parameters."""
        return self.content_type.partition(";")[0].strip().lower()

    @property
    def extension(self) -> str:
        """The extension that says which perception takes it, "" when none does."""
        found = TYPES.get(self.type) or PurePosixPath(self.title).suffix.lower()
        return found if found in EXTENSIONS else ""

    @property
    def what(self) -> str:
        """What it is, in a sentence."""
        family = self.type.partition("/")[0]
        if self.type in ("text/vcard", "text/x-vcard"):
            return "a contact card"
        return f'a file named "{shown(self.title)}"' if self.title else WHAT.get(family, "a file")


def unperceived(file: Attachment) -> str:
    """What to tell her of a file that no perception takes."""
    known = f", {shown(file.type)}," if file.type else ""
    return f"(The person sent {file.what}{known} which cannot be perceived. Tell them.)"


def unwanted(file: Attachment) -> str:
    """What to tell her of a file that was not fetched because of who sent it."""
    return f"(The person sent {file.what}, which was not fetched.)"


def lost(file: Attachment, error: NotFetchedError) -> str:
    """What to tell her of a file that cannot be had."""
    size = f" of {file.size / 1_048_576:.1f} MB" if file.size else ""
    return f"(The person sent {file.what}{size}, but it could not be taken: {error}. Tell them.)"


def attach(inbound: Inbound, file: Attachment, name: str) -> None:
    """Put a fetched file into its message."""
    inbound.kind, inbound.media, inbound.title = EXTENSIONS[file.extension], name, shown(file.title)


def shown(text: str) -> str:
    """One short line."""
    return " ".join(text.split())[:100]
