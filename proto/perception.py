"""The perception table: which perception claims which file (the perception seed's accepted extensions)."""

from __future__ import annotations

from typing import Final, Literal

PerceptionKind = Literal["text", "image", "audio", "document"]

VISITORS: Final = "visitor-"
"""What the names of files begin with that came from people on open channels: her owner's questions find nothing in
them."""

EXTENSIONS: Final[dict[str, PerceptionKind]] = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".webp"), "image"),
    **dict.fromkeys((".wav", ".mp3", ".m4a", ".ogg", ".oga", ".webm", ".flac", ".aac", ".opus"), "audio"),
    **dict.fromkeys((".pdf", ".csv", ".json", ".txt", ".md"), "document"),
}
