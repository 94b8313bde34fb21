"""The perception table: the kind of perception for each file extension (those that the perception seed accepts)."""

from __future__ import annotations

from typing import Final, Literal

PerceptionKind = Literal["text", "image", "audio", "document"]

VISITORS: Final = "visitor-"
"""The prefix of the names of files that came from people on open channels. Her owner's questions do not search them."""

FORWARDED: Final = "(Forwarded; these are not the person's own words:)"
"""The line above what a person passed on; they did not say it. Gateways write it, minds and memory heed it."""

DUE: Final = "(Due now, as arranged; these are not words that the person says now. It was meant for "
"""How the line begins that stands above a task of a routine that is due. It ends with the time in ISO 8601 and ``:)``.
The daemon writes it, minds and memory heed it."""

EXTENSIONS: Final[dict[str, PerceptionKind]] = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".webp"), "image"),
    **dict.fromkeys((".wav", ".mp3", ".m4a", ".ogg", ".oga", ".webm", ".flac", ".aac", ".opus"), "audio"),
    **dict.fromkeys((".pdf", ".csv", ".json", ".txt", ".md"), "document"),
}
