"""Why a change of channels is refused."""

from __future__ import annotations


class ChannelRefused(Exception):
    """Nothing was changed; the text says why.

    ``status`` is the HTTP status that fits. Where the reason is that the bot has a channel already, ``owner`` is the
    name of that channel's persona and ``kind`` the channel's type. Each API turns these into the words that it
    documents.
    """

    def __init__(self, status: int, reason: str, *, owner: str = "", kind: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.owner = owner
        self.kind = kind


def taken(owner: str, kind: str) -> ChannelRefused:
    """The bot or number has a channel of the persona with this name."""
    reason = f"This bot or number already belongs to a channel of {owner}. Remove that one first."
    return ChannelRefused(409, reason, owner=owner, kind=kind)
