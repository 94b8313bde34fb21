"""Her answer while she thinks, as her sockets see it: never stored and never replayed.

A draft may be lost at any time. The frame of the message that ends its turn is the only truth.
"""

from __future__ import annotations

import msgspec

from daemon.conversations.frames import DeltaFrame
from proto.texts import MAX_TEXT


class Draft:
    """What was said of one turn's answer so far."""

    def __init__(self, persona_id: str, turn: int) -> None:
        self.turn = turn
        self._persona_id = persona_id
        self._text = ""

    def put(self, offset: int, text: str) -> int:
        """Replace what follows ``offset``; return from where on it is new."""
        kept = self._text[:offset]
        self._text = (kept + text)[:MAX_TEXT]
        return len(kept)

    def frame(self, since: int) -> str:
        """Return what follows ``since`` as a frame."""
        frame = DeltaFrame("chat_delta", self._persona_id, self.turn, since, self._text[since:])
        return msgspec.json.encode(frame).decode()


class Unsent:
    """What one socket has not sent yet of a draft: one stretch of it, however slow its peer is."""

    __slots__ = ("_draft", "_since")

    def __init__(self) -> None:
        self._draft: Draft | None = None
        self._since = 0

    def add(self, draft: Draft, since: int) -> None:
        """What follows ``since`` is new. What was left of another draft is dropped."""
        self._since = min(since, self._since) if self._draft is draft else since
        self._draft = draft

    def drop(self) -> None:
        """Send nothing more: the message that ends the turn follows."""
        self._draft = None

    def take(self) -> list[str]:
        """Return the frame that is to be sent, if there is one."""
        draft, self._draft = self._draft, None
        return [] if draft is None else [draft.frame(self._since)]
