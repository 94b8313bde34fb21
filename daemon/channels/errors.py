"""Why a change of channels is refused."""

from __future__ import annotations


class ChannelRefused(Exception):
    """Nothing was changed; the text says why.

    ``status`` is the HTTP status that fits. ``owner`` is the name of the persona whose channel has the bot already,
    where that is the reason. Each API turns both into the words that it documents.
    """

    def __init__(self, status: int, reason: str, owner: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.owner = owner


def taken(owner: str) -> ChannelRefused:
    """The bot or number has a channel of the persona with this name."""
    return ChannelRefused(
        409, f"This bot or number already belongs to a channel of {owner}. Remove that one first.", owner
    )
