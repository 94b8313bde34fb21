"""The refusal of a channel change."""

from __future__ import annotations


class ChannelRefused(Exception):
    """Nothing was changed; the text says why.

    ``status`` is the HTTP status that fits. If the bot already has a channel, ``owner`` is the name of that channel's
    persona and ``kind`` the channel's type. Each API turns these into the text that it documents.
    """

    def __init__(self, status: int, reason: str, *, owner: str = "", kind: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.owner = owner
        self.kind = kind


def taken(owner: str, kind: str) -> ChannelRefused:
    """The refusal of a bot or number that already belongs to the persona with this name."""
    reason = f"This bot or number already belongs to a channel of {owner}. Remove that one first."
    return ChannelRefused(409, reason, owner=owner, kind=kind)
